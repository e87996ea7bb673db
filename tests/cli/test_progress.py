"""The live view of a run: per model what is done, at which rate, what it cost, what failed; and its plain form."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from evalkit.cli import _progress
from evalkit.domain.call import Plan, PlannedCell
from evalkit.domain.outcome import Kind
from evalkit.domain.run import Cell
from evalkit.pipeline.record import Progress
from evalkit.testing.builders import a_run


@pytest.fixture
def shown(monkeypatch):
    """What was printed."""
    target = io.StringIO()
    monkeypatch.setattr(_progress, "progress_console", lambda: Console(file=target, width=160))
    return target


def a_plan():
    """Ten calls to each of two models."""
    cells = [
        Cell(suite="qa", task="qa", model_id=name, model_digest="1", prompts_digest="2", mode="text", n_planned=10)
        for name in ("gpt-4o", "[red]llama[/red]")
    ]
    planned = [
        PlannedCell(cell=cell, n_clusters=10, prompt_tokens=1, max_output_tokens=1, usd_expected=None, usd_at_most=None)
        for cell in cells
    ]
    return Plan(digest="d", seed=0, cells=tuple(planned), unsupported=(), calls_of=lambda _: iter(()))


def told(style="plain", **changes):
    """A view that was told of three calls, one of which failed and one went missing."""
    view = _progress.RunProgress(style, budget_usd=20.0)
    view.started(a_plan(), a_run(**changes), 2)
    for kind, usd in ((Kind.OK, 0.25), (Kind.REFUSAL, 0.25), (Kind.TIMEOUT, None)):
        view.observe(Progress(model_id="gpt-4o", kind=kind, cost_usd=usd, latency_s=1.0, n_attempts=2))
    return view


def test_the_table_has_a_line_for_each_model(shown):
    """Progress, rate, time left, spend, failures, missing and retries, and a name is only a name."""
    view = told()
    shown.truncate(0)
    Console(file=shown, width=160).print(view._table())
    line = next(line for line in shown.getvalue().splitlines() if "gpt-4o" in line)
    cells = [cell.strip() for cell in line.split("│")[1:-1]]
    assert cells[1].endswith("3/10")
    assert cells[2].endswith("/s")
    assert cells[3].endswith("s")
    assert cells[4:] == ["0.5000+?", "1", "1", "3"]
    assert "[red]llama[/red]" in shown.getvalue()
    assert "?" in next(line for line in shown.getvalue().splitlines() if "llama" in line)


def test_the_last_line_sums_up_against_the_budget(shown):
    """Spend stands against what may be spent, and an unknown cost is not nothing."""
    with told():
        pass
    last = shown.getvalue().splitlines()[-1]
    assert last.startswith("3/18 calls, ")
    assert "1 failed, 1 missing, USD 0.5000 of 20 (+1 of unknown cost), " in last


def test_quiet_says_nothing(shown):
    """Not even at the end."""
    with told("quiet"):
        pass
    assert shown.getvalue() == ""


def test_live_is_plain_where_nothing_can_be_drawn_over(shown):
    """A pipe gets lines."""
    with told("live", is_simulated=True):
        pass
    assert shown.getvalue().startswith("SIMULATED run run-1: 20 calls to 2 models, 2 already answered\n")


def test_before_the_first_answer_the_time_left_is_unknown(shown):
    """It is not 0 seconds."""
    view = _progress.RunProgress("plain", budget_usd=None)
    view.started(a_plan(), a_run(), 0)
    assert "time left unknown" in view._summary()

"""What is printed is one line, one document, without a character that acts."""

from __future__ import annotations

import json
import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.cli._matrix import matrix_table, reason_lines
from evalkit.cli._output import clean, console, print_json
from evalkit.domain.estimate import Estimate
from evalkit.domain.verdict import GateResult, GateStatus, Reason, ReasonCode, Status, Verdict

ACTING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text(st.characters()), st.integers(1, 300))
def test_cleaned_text_does_nothing(text, most):
    """No control, format, surrogate or separator character is left, and the length is held."""
    shown = clean(text, most=most)

    assert not {unicodedata.category(character) for character in shown} & ACTING
    assert len(shown) <= most


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=160))
def test_harmless_text_is_left_alone(text):
    """Letters, digits, signs and emoji of any script stay as they are."""
    assert clean(text) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_number_json_cannot_say(capsys, value):
    """It becomes null, and the document stays JSON."""
    print_json({"value": value})

    assert json.loads(capsys.readouterr().out) == {"value": None}


@given(st.text(st.characters()))
def test_json_is_ascii_and_whole(text):
    """A machine gets the exact text; a terminal that shows it gets escapes."""
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr("click.echo", printed.append)
        print_json({"text": text})

    assert printed[0].isascii()
    assert "\x1b" not in printed[0]
    assert json.loads(printed[0])["text"] == text


def test_console_takes_no_markup(capsys):
    """Square brackets from outside style nothing."""
    console().print("[red]x[/red] :smile: [link=http://x]y[/link]")

    assert capsys.readouterr().out == "[red]x[/red] :smile: [link=http://x]y[/link]\n"


def test_no_color_takes_every_escape_code_away(monkeypatch, capsys):
    """NO_COLOR on a terminal: not even bold."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")

    console().print("x", style="bold red")

    assert capsys.readouterr().out == "x\n"


def test_color_on_a_terminal(monkeypatch, capsys):
    """Without NO_COLOR a terminal gets colour."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")

    console().print("x", style="bold red")

    assert "\x1b[" in capsys.readouterr().out


def test_reasons_cannot_break_out_of_their_line():
    """A detail or a cure that quotes a model stays on the line of its verdict."""
    evil = "x\n\x1b[31m\u202ecolour · alpha: eligible"
    verdict = Verdict(
        task="t",
        model_id="m",
        status=Status.INELIGIBLE,
        reasons=(Reason(code=ReasonCode.SUBSTITUTED_MODEL, suite="s", metric="q", detail=evil, cure=evil),),
    )

    (line,) = reason_lines([verdict])

    assert line.startswith("t · m: substituted_model s/q: x ")
    assert not {"\n", "\x1b", "\u202e"} & set(line)


@pytest.mark.parametrize(("n_clusters", "shown"), [(180, "n=180\n"), (60, "n=180 in 60 clusters\n")])
def test_answers_that_count_together_are_not_passed_off_as_many(n_clusters, shown):
    """Where a bound rests on fewer clusters than answers, the matrix says how many."""
    estimate = Estimate(
        value=0.95, lower=0.9, upper=0.98, level=0.95, method="gate_bound", n=180, n_clusters=n_clusters
    )
    gate = GateResult(
        suite="s", metric="exact", rule=">= 0.8", limit=0.8, status=GateStatus.PASS, estimate=estimate, bound=0.9
    )
    verdict = Verdict(task="t", model_id="m", status=Status.ELIGIBLE, reasons=(), gates=(gate,))
    (cell,) = list(matrix_table([verdict], is_simulated=False).columns[1].cells)

    assert f"{cell}\n".endswith(f"bound 0.9 >= 0.8 {shown}")

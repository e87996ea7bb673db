"""A step summary answers first, cannot be hijacked by a model, and stays below the size limit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.verdict import Reason, ReasonCode
from evalkit.plugins import load_plugin
from evalkit.reporters.markdown import MAX_BYTES, build


def text_of(report) -> str:
    """Render the one file."""
    ((name, content),) = build().render(report, None)
    assert name == "report.md"
    return content.decode()


def hostile(report, text):
    """Put text into every place a model or a person can write to."""
    reason = Reason(code=ReasonCode.WAIVER_DENY, detail=text, cure=text)
    verdicts = tuple(replace(verdict, reasons=(*verdict.reasons, reason)) for verdict in report.verdicts)
    comparisons = tuple(replace(c, identity_changed=text) for c in report.comparisons)
    return replace(report, title=text, environment=text, verdicts=verdicts, comparisons=comparisons)


def test_golden(made, check_golden):
    """The summary is as reviewed."""
    check_golden("report.md", text_of(made.small()).encode())


def test_entry_point_finds_it():
    """The command line finds it as it finds any plugin."""
    assert type(load_plugin("reporters", "markdown")()) is type(build())


def test_what_changed_comes_first_then_the_verdicts(made):
    """The first heading after the title is what a nightly reader has to know; the second is the whole answer."""
    headings = [line for line in text_of(made.small()).splitlines() if line.startswith("#")]
    assert headings[1] == "## Verdicts that changed since 2026-09-20 14:13 UTC (run 20260920-0200-1c22)"
    assert headings[2] == "## Verdicts"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"previous": None}, "there is nothing to compare verdicts with"),
        ({"verdicts": ()}, "**No verdict changed** since"),
    ],
)
def test_no_change_is_said_too(made, changes, said):
    """Silence is not taken for a comparison."""
    assert said in text_of(replace(made.small(), **changes))


def test_waivers_say_who_why_and_until_when(made):
    """A human decision is never only an icon."""
    assert "| platform | 2026-10-04 |" in text_of(made.small())


def test_every_row_of_a_table_has_as_many_cells_as_its_head(made):
    """A pipe in a model's text does not add a column."""
    text = text_of(hostile(made.small(), "a | b \\| c\n| d |"))
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in rows}) <= 1


def test_hostile_text_is_only_text(made):
    """No tag, mention, link or direction mark of a model reaches the page."""
    text = text_of(hostile(made.small(), made.HOSTILE))
    for trick in ("<script", "<img", "</pre>", "@everyone", "](javascript", "\u202e", "\x1b", "\x00", "`tick`"):
        assert trick not in text


def test_reasons_carry_their_cures(made):
    """What would help stands beside what is wrong."""
    assert "evalkit run --resume, when the provider is back" in text_of(made.small())


def test_every_details_block_is_closed(made):
    """The page does not swallow what follows it."""
    text = text_of(made.small())
    assert text.count("<details>") == text.count("</details>") == 3


def test_simulated_is_said_before_the_verdicts(made):
    """Nobody reads a verdict of a simulated run without knowing it."""
    text = text_of(made.small(is_simulated=True))
    assert 0 < text.index("SIMULATED") < text.index("## Verdicts")
    assert "SIMULATED" not in text_of(made.small())


def test_a_regression_names_the_change_of_identity(made):
    """The likeliest cause stands beside the loss."""
    assert "confirmed regression; model behind the name changed" in text_of(made.small())


def test_without_regressions_there_is_no_such_heading(made):
    """An empty table is not shown."""
    assert "Got worse" not in text_of(replace(made.small(), comparisons=()))


def test_a_huge_report_is_bounded_and_says_what_is_left_out(made):
    """Thousands of models do not make a summary that is refused."""
    report = made.small()
    models = tuple(replace(report.models[0], model_id=f"model-{number}") for number in range(6_000))
    text = text_of(replace(report, models=models))
    assert len(text.encode()) <= MAX_BYTES
    assert "more sections do not fit here" in text
    assert text.count("<details>") == text.count("</details>")


def test_a_task_without_verdict_is_shown_as_not_considered(made):
    """A hole in the matrix is not a yes."""
    assert "– not considered" in text_of(replace(made.small(), verdicts=()))


def test_an_interrupted_run_says_why(made):
    """A partial night is not taken for a whole one."""
    report = made.small()
    assert "budget used up" in text_of(replace(report, run=replace(report.run, note="budget used up")))

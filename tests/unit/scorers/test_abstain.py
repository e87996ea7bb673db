"""`abstain`: saying that there is no answer, where that is right and where it is not."""

from __future__ import annotations

import pytest

from evalkit.plugins import ScorerContext, load_plugin
from evalkit.testing.builders import a_case, a_suite, an_outcome


def graded(answer, expect="abstain", **params):
    """Return the one score."""
    case = a_case(expected=None, expect=expect)
    suite = a_suite(cases=[case], scorers=[{"name": "abstain", "params": params}])
    (score,) = load_plugin("scorers", "abstain")(ScorerContext(params=params, suite=suite)).score(
        case, an_outcome(text=answer), ()
    )
    return score


@pytest.mark.parametrize(
    ("answer", "abstains"),
    [
        ("Not in the text.", True),
        ("I’m afraid I don’t know.", True),
        ("The document says nothing, so this CANNOT BE\nANSWERED from it.", True),
        ("  ", True),
        ("Three days.", False),
        ("An unknownable thing", False),
    ],
)
def test_text(answer, abstains):
    """A phrase anywhere abstains, whatever its case and quotes; part of a word does not."""
    assert graded(answer).value == abstains
    assert graded(answer, "answer").value == (not abstains)


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ('{"answer": null}', 1),
        ('{"answer": ""}', 1),
        ('{"answer": "Not in the text"}', 1),
        ('{"answer": "It is not in the text of chapter 3"}', 0),
        ('{"other": null}', 0),
    ],
)
def test_field(answer, value):
    """A field abstains when it is null, blank or a phrase and nothing else; an answer without it is wrong."""
    assert graded(answer, field="answer").value == value


def test_findings_tell_the_two_mistakes_apart():
    """Answering for nothing and abstaining for nothing are different faults."""
    assert graded("Three days.").findings == ("abstain:missed",)
    assert graded("unknown", "answer").findings == ("abstain:needless",)


def test_own_phrases():
    """Phrases can be given; then only those count."""
    assert graded("weiß nicht", phrases=["Weiß nicht"]).value == 1
    assert graded("unknown", phrases=["weiß nicht"]).value == 0


def test_a_late_phrase_is_not_looked_for():
    """Nobody abstains after a hundred thousand characters."""
    assert graded("x " * 100_000 + "not in the text").value == 0

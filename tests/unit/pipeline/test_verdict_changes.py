"""What became different from one eligibility file to the next."""

from __future__ import annotations

from evalkit.pipeline.verdict_changes import said_in, verdict_changes


def a_file(**tasks):
    """Return the parts of a file: task to model to what is said, with a reason code after a colon."""
    return {"tasks": {name: _task(models) for name, models in tasks.items()}}


def _task(models):
    said = {model: text.partition(":") for model, text in models.items()}
    return {
        "candidates": [{"model": model} for model, (status, _, _) in said.items() if status == "in"],
        "rejected": [
            {"model": model, "verdict": status, "reasons": [{"code": code}, {"code": code}]}
            for model, (status, _, code) in said.items()
            if status != "in"
        ],
    }


def test_beyond_the_candidates_is_eligible_all_the_same():
    """Who is only one too many has lost nothing."""
    document = a_file(t={"a": "in", "b": "eligible:beyond_max_candidates", "c": "ineligible:gate_failed"})
    assert said_in(document) == {"t": {"a": "eligible", "b": "eligible", "c": "ineligible"}}


def test_losses_come_first_with_their_reasons():
    """A model that lost a task, then one that won one."""
    before = said_in(a_file(t={"a": "undecided:outage", "b": "in"}))
    lost, won = verdict_changes(before, a_file(t={"a": "in", "b": "ineligible:gate_failed"}))
    assert (lost.model_id, lost.is_loss, lost.codes) == ("b", True, ("gate_failed",))
    assert (won.model_id, won.is_loss, won.codes) == ("a", False, ())
    assert str(lost) == "b on t: eligible → ineligible (gate_failed)"


def test_what_a_person_took_away_is_no_loss():
    """Out of the roster, out of the policy, denied by waiver: changes, and nobody's fault."""
    before = said_in(a_file(t={"a": "in", "b": "in"}, u={"a": "in"}))
    changes = verdict_changes(before, a_file(t={"b": "ineligible:waiver_deny"}))
    assert [(one.task, one.model_id, one.after) for one in changes] == [
        ("t", "a", None), ("t", "b", "ineligible"), ("u", "a", None),
    ]  # fmt: skip
    assert not any(one.is_loss for one in changes)
    assert str(changes[0]) == "a on t: eligible → taken out"


def test_nothing_changed():
    """The same verdicts in another order are no news."""
    before = said_in(a_file(t={"a": "in", "b": "in"}))
    assert verdict_changes(before, a_file(t={"b": "in", "a": "in"})) == ()

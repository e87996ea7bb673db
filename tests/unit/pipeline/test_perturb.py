"""Twins: what is changed, what is left alone, and what counts as a flip."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.clock import SystemClock
from evalkit.domain.outcome import Kind
from evalkit.domain.run import plain_name, variant_name
from evalkit.domain.score import Score, Scored
from evalkit.errors import InputError
from evalkit.pipeline.history import read_history, runs_that_count
from evalkit.pipeline.perturb import flip_rates, with_twins
from evalkit.pipeline.plan import Selection, plan
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import a_case, a_model, a_run, a_suite, an_outcome

SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["yes", "no", "maybe"]}, "size": {"enum": ["only"]}},
    "required": ["label"],
}
REQUEST = {"system": "Be brief.", "prompt": "{{ question }}", "response": {"schema": SCHEMA}}


@pytest.fixture
def twins(a_project):
    """Give a function: the calls of one case by variant, and their cells; keywords are those of suite and model."""

    def build(*, request=None, model=None, case=None, **suite):
        one = a_suite(request=request or REQUEST, cases=[case or a_case()], **suite)
        planned = with_twins(plan(a_project(suites=[one], models=[model or a_model()])), a_project(suites=[one]))
        calls = {plain_name(call.suite)[1]: call for call in planned.calls_of("gpt-4o")}
        return calls, {plain_name(cell.cell.suite)[1]: cell for cell in planned.cells}

    return build


class TestTwins:
    """One thing is changed in each."""

    def test_all_forms(self, twins):
        """The case as it stands, again, and in three forms; all in one cluster, each with a key of its own."""
        calls, cells = twins()
        assert list(calls) == list(cells) == ["plain", "repeat", "newline", "system_in_user", "labels"]
        assert {call.cluster_id for call in calls.values()} == {"case-1"}
        assert len({call.key for call in calls.values()}) == len(calls)
        plain = calls["plain"]
        sent = (plain.script, plain.parameters, plain.adapt)
        assert sent == (calls["repeat"].script, calls["repeat"].parameters, calls["repeat"].adapt)
        assert calls["newline"].script.turns[0].messages[0].content == plain.script.turns[0].messages[0].content + "\n"
        assert calls["system_in_user"].adapt.system_role == "user"
        assert calls["labels"].parameters.schema["properties"]["label"]["enum"] == ["maybe", "no", "yes"]
        assert {cell.usd_at_most for cell in cells.values()} == {cells["plain"].usd_at_most}

    def test_a_form_that_changes_nothing_is_not_asked(self, twins):
        """No system text to move, no labels to turn, a model that takes no system text anyway."""
        bare, _ = twins(request={"prompt": "{{ question }}"})
        assert list(bare) == ["plain", "repeat", "newline"]
        bent, _ = twins(model=a_model(adapt={"system_role": "user"}))
        assert "system_in_user" not in bent

    def test_labels_in_the_case(self, twins):
        """A list of exactly the labels is turned where the prompt shows it; any other list may mean its order."""
        request = {"prompt": "One of {{ labels | join(', ') }}; steps {{ steps | join(' ') }}"}
        case = a_case(vars={"labels": ["a", "b"], "steps": ["b", "c"]}, expected="a")
        calls, _ = twins(request=request, case=case, scorers=[{"choice": {"labels": ["a", "b"]}}], primary="choice")
        assert calls["labels"].script.turns[0].messages[0].content == "One of b, a; steps b c"

    def test_nothing_to_ask(self, a_project):
        """An empty plan is a mistake."""
        project = a_project()
        with pytest.raises(InputError, match="nothing to perturb"):
            with_twins(plan(project, Selection(only=frozenset())), project)


def test_flips(a_project):
    """Right to wrong and back are counted apart; a pair with a hole is unknown, and never a flip."""
    cases = [a_case(f"c{i}") for i in range(5)]
    project = a_project(suites=[a_suite(cases=cases)])
    planned = with_twins(plan(project), project)
    run = a_run(cells=tuple(one.cell for one in planned.cells), gateway_kind="simulator", is_partial=True)
    store = MemoryStore(clock=SystemClock())
    store.open_run(run)
    plain, twin = [1.0, 1.0, 0.0, 0.0, 1.0], [1.0, 0.5, 1.0, 0.5, None]
    for variant, values in (("plain", plain), ("repeat", plain), ("newline", twin)):
        suite = variant_name("qa", variant)
        for index, value in enumerate(values):
            kind = Kind.OK if value is not None else Kind.TIMEOUT
            outcome = an_outcome(f"c{index}", suite=suite, kind=kind, sequence=index)
            given = () if value is None else (Score("exact", value),)
            store.append(run.run_id, [outcome], [Scored(call_key=outcome.call_key, scores=given)])
    rates = {one.perturbation: one for one in flip_rates(store, run, project)}
    assert (rates["repeat"].estimate.value, rates["repeat"].n_unknown) == (0.0, 0)
    found = rates["newline"]
    assert (found.n_lost, found.n_won, found.n_unknown, found.estimate.n) == (1, 1, 1, 4)
    assert found.estimate.value == 0.5
    counted = runs_that_count(replace(project, root=project.root), store)
    assert not counted
    assert not read_history(project, store, [run]).by_pair

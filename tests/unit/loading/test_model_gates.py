"""Model gates that cannot mean anything are refused where they are written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.suite import Gate
from evalkit.errors import Place
from evalkit.loading.model_gates import model_gate_errors
from evalkit.testing.builders import a_case, a_suite
from evalkit.testing.evidence import a_project

PLACE = Place(file="policy.yaml", pointer="/model_gates/0")


def errors_of(gate, *, n=100, **case_fields):
    """What is wrong with one gate over two suites of n cases with the same ids."""
    cases = [a_case(f"c{index}", **case_fields) for index in range(n)]
    project = a_project([a_suite("one", cases=cases), a_suite("two", cases=cases)])
    policy = project.policy.model_copy(update={"model_gates": (Gate.model_validate(gate),)})
    return [str(error) for error in model_gate_errors(replace(project, policy=policy), [PLACE])]


@pytest.mark.parametrize(
    ("gate", "problem"),
    [
        ({"metric": "exakt", "at_least": 0.9}, "no suite has a scorer"),
        ({"metric": "latency_s", "of": "p95", "at_most": 4}, "is on a rate"),
        ({"metric": "exact", "at_least": 0.9, "where": {"tag": "hard"}}, "on all cases"),
        ({"metric": "refusal", "at_least": 0.9}, "better when lower"),
        ({"metric": "exact", "at_least": 1.0}, "no number of cases"),
        ({"metric": "exact", "at_least": 0.99}, "can never pass"),
    ],
)
def test_what_is_refused(gate, problem):
    """Each says what is wrong, and where."""
    (found,) = errors_of(gate)
    assert problem in found
    assert "policy.yaml" in found


@pytest.mark.parametrize("gate", [{"metric": "exact", "at_least": 0.98}, {"metric": "refusal", "at_most": 0.02}])
def test_suites_together_are_large_enough(gate):
    """Two hundred clusters reach .98, which neither suite's hundred do; equal case ids are different cases."""
    assert errors_of(gate) == []
    assert errors_of(gate, n=70) != []


def test_over_refusal_needs_cases_that_expect_an_answer():
    """Cases that expect a refusal do not count towards it."""
    gate = {"metric": "over_refusal", "at_most": 0.1}
    assert errors_of(gate) == []
    assert errors_of(gate, expect="refusal") != []

"""Gates: the right aggregate, side and limit, and cases enough to pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.suite import Case, Gate
from evalkit.errors import Place
from evalkit.loading.gates import gate_errors

PLACE = Place(file="suite.yaml", line=3, pointer="/gates/0")


def some_cases(n_cases: int, *, per_cluster: int = 1) -> list[Case]:
    """Return cases; every other one is tagged odd."""
    return [Case(id=f"c{i}", cluster=f"k{i // per_cluster}", tags=("odd",) if i % 2 else ()) for i in range(n_cases)]


def told(cases=None, **gate) -> str:
    """Return all that is said against a gate."""
    found = gate_errors(
        Gate(**gate), cases or some_cases(100), metrics=["exact", "weighted"], confidence=0.95, place=PLACE
    )
    return "\n".join(str(error) for error in found)


@pytest.mark.parametrize(
    ("gate", "fragment"),
    [
        ({"metric": "exac", "at_least": 0.9}, "did you mean 'exact'"),
        ({"metric": "latency", "at_most": 4}, "did you mean 'latency_s'"),
        ({"metric": "exact", "at_least": 0.9, "of": "p95"}, "is for latency_s, output_tokens, ttft_s"),
        ({"metric": "cost_usd", "at_most": 0.9, "of": "p99"}, "not 'cost_usd'"),
        ({"metric": "exact", "at_least": 0.9, "of": "per_success"}, "is for cost_usd"),
        ({"metric": "exact", "at_most": 0.9}, "better when higher"),
        ({"metric": "availability", "at_most": 0.9}, "better when higher"),
        ({"metric": "refusal", "at_least": 0.9}, "better when lower"),
        ({"metric": "latency_s", "at_least": 4, "of": "p95"}, "better when lower"),
        ({"metric": "exact", "at_least": 95}, "a share from 0 to 1"),
        ({"metric": "exact", "at_least": -0.1}, "a share from 0 to 1"),
        ({"metric": "cost_usd", "at_most": -1}, "USD, not negative"),
        ({"metric": "latency_s", "at_most": 0}, "no model has latency_s of 0"),
        ({"metric": "exact", "at_least": 0.5, "where": {"tag": "od"}}, "did you mean 'odd'"),
        ({"metric": "exact", "at_least": 0.5, "where": {}}, "names no tag"),
        ({"metric": "exact", "at_least": 1}, "no number of cases can show"),
        ({"metric": "refusal", "at_most": 0}, "no number of cases can show"),
        ({"metric": "exact", "at_least": 0.99}, "needs 299 clusters of cases at confidence 0.95, and there are 100"),
        ({"metric": "refusal", "at_most": 0.01}, "needs 299 clusters"),
        ({"metric": "exact", "at_least": 0.95, "where": {"tag": "odd"}}, "needs 59 clusters"),
    ],
)
def test_a_gate_that_says_nothing_is_refused(gate, fragment):
    """Each gate is wrong in one way, and the message names it."""
    assert fragment in told(**gate)
    assert told(**gate).startswith("suite.yaml:3: /gates/0: ")


@pytest.mark.parametrize(
    "gate",
    [
        {"metric": "exact", "at_least": 0.95},
        {"metric": "exact", "at_least": 0},
        {"metric": "weighted", "at_least": 0.5},
        {"metric": "refusal", "at_most": 0.05},
        {"metric": "refusal", "at_most": 1},
        {"metric": "availability", "at_least": 0.9},
        {"metric": "latency_s", "at_most": 4, "of": "p95"},
        {"metric": "ttft_s", "at_most": 1, "of": "p95"},
        {"metric": "output_tokens", "at_most": 100},
        {"metric": "cost_usd", "at_most": 0.01, "of": "per_success"},
        {"metric": "exact", "at_least": 0.9, "where": {"tag": "odd"}},
    ],
)
def test_a_fair_gate_is_accepted(gate):
    """What can pass is not complained about."""
    assert told(**gate) == ""


def test_clusters_are_counted_not_cases():
    """Eighty answers about forty passages are forty observations."""
    assert "there are 40" in told(some_cases(80, per_cluster=2), metric="exact", at_least=0.95)


@given(st.integers(1, 400), st.floats(0.01, 0.99))
def test_more_cases_never_make_a_gate_impossible(n_cases, limit):
    """What can pass with n clusters can pass with one more."""
    if not told(some_cases(n_cases), metric="exact", at_least=limit):
        assert not told(some_cases(n_cases + 1), metric="exact", at_least=limit)

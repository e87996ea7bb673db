"""Spending: what a call can cost at most, and a budget that is reserved before it is spent."""

from __future__ import annotations

import asyncio

import pytest

from evalkit.domain.outcome import Attempt, Cost, Kind, Usage
from evalkit.pipeline.plan import plan
from evalkit.pipeline.spending import Budget, billed_usd, listed_usd, most_usd, settled_usd
from evalkit.testing.builders import a_case, a_model, a_suite, an_outcome

DOLLAR_A_TOKEN = {"input_usd_per_mtok": 1e6, "output_usd_per_mtok": 1e6}


def most_of(a_project, request, **case):
    """Return the most a call of such a request can cost, in tokens."""
    model = a_model(price=DOLLAR_A_TOKEN)
    project = a_project(suites=[a_suite(request=request, cases=[a_case(**case)])], models=[model])
    return most_usd(next(plan(project).calls_of(model.id)), model.price)


class TestMostUsd:
    """The reservation of a call."""

    def test_text_counts_by_its_bytes(self, a_project):
        """No tokeniser makes more tokens than there are bytes: also not of scripts that tokenise badly."""
        plain = most_of(a_project, {"prompt": "{{ question }}"}, vars={"question": ""})
        assert most_of(a_project, {"prompt": "{{ question }}"}, vars={"question": "語" * 100}) == plain + 300
        assert most_of(a_project, {"prompt": "{{ question }}", "system": "x" * 50}, vars={"question": ""}) == plain + 50

    def test_the_output_counts_in_full(self, a_project):
        """An answer may be as long as it is allowed to be."""
        short, long = (most_of(a_project, {"prompt": "x", "max_output_tokens": cap}) for cap in (1, 1001))
        assert long - short == 1000

    def test_a_conversation_is_sent_again_at_every_turn(self, a_project):
        """The second request carries the first turn and its answer."""
        one = most_of(a_project, {"turns": [{"user": "a" * 100}], "max_output_tokens": 10})
        two = most_of(a_project, {"turns": [{"user": "a" * 100}, {"user": "b"}], "max_output_tokens": 10})
        # one: prompt P + 10; two: P + 10, then P + the answer + turn b (17) + 10 again.
        assert two == one + (one - 10) + 10 + 17 + 10

    def test_schema_tools_and_results_count(self, a_project):
        """Whatever travels with the prompt is paid for."""
        tool = {"name": "look_up", "description": "d" * 1000, "parameters": {"type": "object"}}
        schema = {"type": "object", "description": "d" * 1000}
        plain = most_of(a_project, {"prompt": "x"})
        assert most_of(a_project, {"prompt": "x", "tools": [tool]}) > plain + 1000
        assert most_of(a_project, {"prompt": "x", "response": {"schema": schema}}) > plain + 1000
        results = {"turns": [{"user": "x", "tool_results": {"look_up": "r" * 1000}}]}
        assert most_of(a_project, results) > plain + 1000


class TestBilledUsd:
    """What an outcome takes out of the budget."""

    def test_a_known_cost_is_taken(self):
        """What was reported or priced counts as it is."""
        assert billed_usd(an_outcome(cost_usd=0.25)) == 0.25

    @pytest.mark.parametrize(("status", "usd"), [(429, 0.0), (401, 0.0), (503, 0.0), (200, None), (None, None)])
    def test_nobody_bills_an_error_status(self, status, usd):
        """A 429 is free although nobody said so; a timeout may well be billed, so its cost is unknown."""
        attempts = (Attempt(kind=Kind.RATE_LIMITED, status=429), Attempt(kind=Kind.PROVIDER_ERROR, status=status))
        assert billed_usd(an_outcome(kind=Kind.PROVIDER_ERROR, cost_usd=None, attempts=attempts)) == usd


class TestBudget:
    """Reserving, settling, stopping."""

    def test_without_a_limit_everything_fits(self):
        """No budget never stops anything."""
        assert asyncio.run(Budget(None).reserve(1e9))

    def test_a_call_that_can_never_fit_stops_the_run(self):
        """With nothing in flight there is nothing to wait for."""

        async def tried():
            budget = Budget(0.01)
            return await asyncio.wait_for(budget.reserve(0.02), 1), budget.is_exhausted, await budget.reserve(0.001)

        assert asyncio.run(tried()) == (False, True, False)

    def test_a_call_waits_for_what_is_in_flight(self):
        """Calls cost less than reserved: what comes back makes room."""

        async def waited():
            budget = Budget(1.0)
            assert await budget.reserve(0.8)
            waiting = asyncio.create_task(budget.reserve(0.8))
            await asyncio.sleep(0)
            assert not waiting.done()
            budget.settle(reserved_usd=0.8, actual_usd=0.1)
            assert await asyncio.wait_for(waiting, 1)
            return budget.spent_usd, budget.reserved_usd

        assert asyncio.run(waited()) == (0.1, 0.8)

    def test_all_who_wait_are_told_of_the_end(self):
        """When the last call in flight used the money up, nobody is left waiting."""

        async def ended():
            budget = Budget(1.0)
            assert await budget.reserve(0.9)
            waiting = [asyncio.create_task(budget.reserve(0.5)) for _ in range(8)]
            await asyncio.sleep(0)
            budget.settle(reserved_usd=0.9, actual_usd=0.9)
            return await asyncio.wait_for(asyncio.gather(*waiting), 1)

        assert asyncio.run(ended()) == [False] * 8

    def test_an_unknown_cost_counts_as_all_that_was_reserved(self):
        """Unknown is never zero."""

        async def spent():
            budget = Budget(1.0)
            await budget.reserve(0.7)
            budget.settle(reserved_usd=0.7, actual_usd=None)
            return budget.spent_usd

        assert asyncio.run(spent()) == 0.7

    def test_rounding_leaves_nobody_waiting(self):
        """Sums of a thousand small amounts do not come back to zero; the count of calls does."""

        async def rounded():
            budget = Budget(100.0)
            amounts = [0.1 + index / 7919 for index in range(200)]
            for amount in amounts:
                assert await budget.reserve(amount)
            for amount in reversed(amounts):
                budget.settle(reserved_usd=amount, actual_usd=0.0)
            assert budget.reserved_usd == 0
            return await asyncio.wait_for(budget.reserve(200.0), 1)

        assert asyncio.run(rounded()) is False


@pytest.mark.parametrize(
    ("usd", "direct_usd", "settled"), [(0.5, 0.0, 0.5), (0.5, 0.25, 0.75), (0.5, None, 2.5), (None, 0.25, 2.25)]
)
def test_both_requests_of_a_pair_are_settled(usd, direct_usd, settled):
    """Each half by itself: what is known as it is, what is not as the most it can be."""
    outcome = an_outcome(cost_usd=usd, cost=Cost(usd=usd, direct_usd=direct_usd))
    assert settled_usd(outcome, most_usd=2.0) == settled


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (Usage(prompt_tokens=10, completion_tokens=5), 15),
        (Usage(prompt_tokens=10, completion_tokens=5, total_tokens=40), 40),
        (Usage(prompt_tokens=10, total_tokens=40), None),
        (Usage(), None),
    ],
)
def test_list_price_times_tokens(usage, tokens):
    """Reasoning that only the total knows of is billed; without both counts nothing is known."""
    assert listed_usd(usage, a_model(price=DOLLAR_A_TOKEN).price) == tokens
    assert listed_usd(usage, None) is None

"""The plan: what is asked, of whom, in which order, and what it will cost."""

from __future__ import annotations

import pytest

from evalkit.errors import NotFoundError
from evalkit.pipeline.pairing import Pairing
from evalkit.pipeline.plan import Selection, plan
from evalkit.testing.builders import a_case, a_model, a_suite


def cases(n, **fields):
    """Return `n` cases."""
    return [a_case(f"case-{index}", **fields) for index in range(n)]


@pytest.fixture
def two_by_two(a_project):
    """A project of two suites of ten cases and two models."""
    suites = [a_suite("qa", cases=cases(10)), a_suite("triage", cases=cases(10))]
    return a_project(suites=suites, models=[a_model("one"), a_model("two")])


def calls_of(planned):
    """Return every call of a plan, by model."""
    return {model_id: list(planned.calls_of(model_id)) for model_id in planned.model_ids}


def test_every_call_is_planned_once(two_by_two):
    """Keys are unique over suites, cases, models and trials, and there are as many as the plan says."""
    planned = plan(two_by_two, Selection(trials=3))
    keys = [call.key for calls in calls_of(planned).values() for call in calls]
    assert len(keys) == len(set(keys)) == planned.n_calls == 2 * 10 * 2 * 3


def test_all_models_share_one_order(two_by_two):
    """The scheduled order is the same for every model, so trouble at one hour hits all alike."""
    found = calls_of(plan(two_by_two))
    orders = [[(call.suite, call.case_id, call.sequence) for call in calls] for calls in found.values()]
    assert orders[0] == orders[1]
    assert [sequence for _, _, sequence in orders[0]] == list(range(20))


def test_the_order_follows_from_the_seed(two_by_two):
    """The same seed gives the same order and digest; another seed another one."""
    first, again, other = (plan(two_by_two, seed=seed) for seed in (1, 1, 2))

    def order(planned):
        return [call.key for call in planned.calls_of("one")]

    assert (order(first), first.digest) == (order(again), again.digest)
    assert order(first) != order(other)
    assert first.digest != other.digest
    assert sorted(order(first)) == sorted(order(other))


def test_suites_are_mixed(two_by_two):
    """An outage of an hour does not fall on one suite."""
    suites = [call.suite for call in plan(two_by_two).calls_of("one")]
    assert 0 < suites[:10].count("qa") < 10


def test_a_cluster_stays_together(a_project):
    """Cases that share a passage are asked one after the other, in file order."""
    mine = [a_case(f"{cluster}{index}", cluster=cluster) for cluster in "abcdef" for index in range(3)]
    found = [call.case_id for call in plan(a_project(suites=[a_suite(cases=mine)])).calls_of("gpt-4o")]
    groups = [found[start : start + 3] for start in range(0, 18, 3)]
    assert sorted(groups) == [[f"{cluster}{index}" for index in range(3)] for cluster in "abcdef"]


def test_calls_are_made_on_demand(two_by_two):
    """The plan may be walked again: a million calls are never held at once."""
    planned = plan(two_by_two)
    assert [call.key for call in planned.calls_of("one")] == [call.key for call in planned.calls_of("one")]
    assert next(planned.calls_of("two")).model_id == "two"


@pytest.mark.parametrize(
    ("selection", "n_calls"),
    [
        (Selection(suites=("qa",)), 20),
        (Selection(model_ids=("two",)), 20),
        (Selection(max_cases=4), 16),
        (Selection(case_ids=("case-3",)), 4),
        (Selection(trials=2), 80),
        (Selection(only=frozenset({("qa", "case-1", "one"), ("triage", "case-2", "two")})), 2),
        (Selection(max_cases=100), 40),
    ],
)
def test_a_selection_narrows_the_plan(two_by_two, selection, n_calls):
    """Each filter leaves what it says, and the calls are as many as the cells claim."""
    planned = plan(two_by_two, selection)
    assert sum(len(calls) for calls in calls_of(planned).values()) == planned.n_calls == n_calls


def test_n_takes_the_beginning_of_the_order(two_by_two):
    """`-n 3` is part of `-n 6`: a small try-out is not thrown away by a larger one."""

    def chosen(n):
        return [(call.suite, call.case_id) for call in plan(two_by_two, Selection(max_cases=n)).calls_of("one")]

    whole = [(call.suite, call.case_id) for call in plan(two_by_two).calls_of("one")]
    assert set(chosen(3)) < set(chosen(6)) < set(whole)
    assert [pair for pair in whole if pair in chosen(6)] == chosen(6)


def test_tags_select_any_of_them(a_project):
    """A case with one of the tags is in."""
    mine = [a_case("a", tags=("hard",)), a_case("b", tags=("easy", "new")), a_case("c")]
    planned = plan(a_project(suites=[a_suite(cases=mine)]), Selection(tags=("hard", "new")))
    assert {call.case_id for call in planned.calls_of("gpt-4o")} == {"a", "b"}


@pytest.mark.parametrize(
    ("selection", "is_partial"),
    [
        (Selection(), False),
        (Selection(trials=5), False),
        (Selection(trials=1), True),
        (Selection(max_cases=9), True),
        (Selection(max_cases=5, trials=4), True),
        (Selection(case_ids=("case-3",)), True),
        (Selection(max_cases=10), False),
    ],
)
def test_what_leaves_something_out_is_partial(a_project, selection, is_partial):
    """More trials do not make up for cases that were left out: such a cell never decides."""
    project = a_project(suites=[a_suite(cases=cases(10), trials=2)])
    (planned,) = plan(project, selection).cells
    assert planned.cell.is_partial is is_partial


def test_skipped_cases_are_counted_not_missed(a_project):
    """A case with `skip` is not asked, and leaving it out is not partial."""
    mine = [*cases(3), a_case("broken", skip="the answer is disputed")]
    (planned,) = plan(a_project(suites=[a_suite(cases=mine)])).cells
    assert (planned.cell.n_planned, planned.cell.n_skipped, planned.cell.is_partial) == (3, 1, False)


def test_a_prompt_beyond_the_window_is_not_planned(a_project):
    """What cannot fit by far is unsupported, not missing; the cell counts it as skipped."""
    long = a_case("long", vars={"question": "word " * 4000})
    project = a_project(suites=[a_suite(cases=[*cases(2), long])], models=[a_model(context_tokens=1000)])
    planned = plan(project)
    assert {call.case_id for call in planned.calls_of("gpt-4o")} == {"case-0", "case-1"}
    assert planned.cells[0].cell.n_skipped == 1
    assert not planned.cells[0].cell.is_partial


def test_a_suite_beyond_the_window_is_unsupported(a_project):
    """When nothing fits, the pair is named with its reason and nothing is asked."""
    long = a_case("long", vars={"question": "word " * 4000})
    planned = plan(a_project(suites=[a_suite(cases=[long])], models=[a_model(context_tokens=1000)]))
    assert (planned.n_calls, [found.code for found in planned.unsupported]) == (0, ["context_too_small"])


def test_a_model_without_the_mode_is_unsupported(a_project):
    """A suite that needs tools is not asked of a model without them."""
    tools = [{"name": "look_up", "parameters": {"type": "object"}}]
    suite = a_suite(request={"prompt": "{{ question }}", "tools": tools})
    models = [a_model("with"), a_model("without", capabilities={"tools": False})]
    planned = plan(a_project(suites=[suite], models=models))
    assert planned.model_ids == ("with",)
    assert [(found.model_id, found.code) for found in planned.unsupported] == [("without", "unsupported_mode")]


def test_the_first_mode_a_model_declares_is_taken(a_project):
    """The strictest structured output comes first, weaker models get the weaker form."""
    response = {"schema": {"type": "object"}, "modes": ["json_schema", "json_object", "prompted"]}
    suite = a_suite(request={"prompt": "{{ question }}", "response": response})
    models = [a_model(name, capabilities={"structured": name}) for name in ("json_schema", "json_object", "none")]
    found = {cell.cell.model_id: cell.cell.mode for cell in plan(a_project(suites=[suite], models=models)).cells}
    assert found == {"json_schema": "json_schema", "json_object": "json_object", "none": "prompted"}


def test_a_temperature_nobody_takes_is_not_sent(a_project):
    """A model that declares no temperature is asked without one."""
    models = [a_model("plain"), a_model("fixed", capabilities={"temperature": False})]
    planned = plan(a_project(models=models))
    sent = {name: next(planned.calls_of(name)).parameters.temperature for name in planned.model_ids}
    assert sent == {"plain": 0, "fixed": None}


def test_a_case_may_have_its_own_schema_and_cap(a_project):
    """What a case says wins over the suite, and is in its key."""
    own = {"type": "array"}
    suite = a_suite(
        request={"prompt": "{{ question }}", "response": {"schema": {"type": "object"}}, "max_output_tokens": 100},
        cases=[a_case("plain"), a_case("own", schema=own, max_output_tokens=50)],
    )
    found = {call.case_id: call.parameters for call in plan(a_project(suites=[suite])).calls_of("gpt-4o")}
    assert (found["own"].schema, found["own"].max_output_tokens) == (own, 50)
    assert (found["plain"].schema, found["plain"].max_output_tokens) == ({"type": "object"}, 100)


def test_the_output_cap_is_the_smaller_one(a_project):
    """A model that cannot write so much is not asked to, and is not priced for it."""
    suite = a_suite(request={"prompt": "{{ question }}", "max_output_tokens": 4000})
    planned = plan(a_project(suites=[suite], models=[a_model(max_output_tokens=1000)]))
    assert next(planned.calls_of("gpt-4o")).parameters.max_output_tokens == 1000
    assert planned.cells[0].max_output_tokens == 1000


def test_a_conversation_may_answer_at_every_turn(a_project):
    """The most that can be produced counts each turn."""
    request = {"turns": [{"user": "one"}, {"user": "two"}, {"user": "three"}], "max_output_tokens": 10}
    (planned,) = plan(a_project(suites=[a_suite(request=request)])).cells
    assert planned.max_output_tokens == 30


def test_an_unknown_price_is_unknown(a_project):
    """No list price gives no number, never zero."""
    planned = plan(a_project(models=[a_model("known"), a_model("unknown", price=None)]))
    known, unknown = planned.cells
    assert 0 < known.usd_expected < known.usd_at_most
    assert (unknown.usd_expected, unknown.usd_at_most) == (None, None)


DIRECT = {
    "gateway": {"kind": "openai", "base_url": "http://gateway.test/v1"},
    "baseline_gateway": {"kind": "openai", "base_url": "http://provider.test/v1"},
}


def test_requests_to_a_baseline_gateway_are_planned_and_priced_apart(a_project):
    """The first so many of each suite × model; calls, tokens and USD of the plan itself stay what they were."""
    suites = [a_suite("qa", cases=[a_case(f"c{at}") for at in range(10)]), a_suite("mail", cases=[a_case("c0")])]
    alone = plan(a_project(suites=suites, gateway=DIRECT["gateway"]))
    planned = plan(a_project(suites=suites, **DIRECT, limits={"baseline_calls": 4}))
    assert [(cell.n_direct, alone.n_direct) for cell in planned.cells] == [(4, 0), (1, 0)]
    assert (planned.n_calls, planned.n_direct) == (alone.n_calls, 5) == (11, 5)
    assert [(cell.usd_expected, cell.usd_at_most) for cell in planned.cells] == [
        (cell.usd_expected, cell.usd_at_most) for cell in alone.cells
    ]
    first = planned.cells[0]
    assert first.direct_usd_at_most == pytest.approx(0.4 * first.usd_at_most)
    assert first.direct_usd_expected == pytest.approx(0.4 * first.usd_expected)


def test_the_planned_pairs_are_those_that_record_chooses(a_project):
    """Two places count: they must not differ by trials, conversations or windows."""
    suites = [
        a_suite("qa", cases=[a_case(f"c{at}") for at in range(7)], trials=3),
        a_suite("talk", request={"turns": [{"user": "{{ question }}"}, {"user": "Sure?"}]}),
        a_suite("long", cases=[a_case("short"), a_case("long", vars={"question": "word " * 5000})]),
    ]
    models = [a_model("wide"), a_model("narrow", context_tokens=2000)]
    planned = plan(a_project(suites=suites, models=models, **DIRECT, limits={"baseline_calls": 5}))
    chosen = {}
    for model_id in planned.model_ids:
        pairing = Pairing(n_calls=5, price=None, pair_of=None)
        calls = list(pairing.choosing(planned.calls_of(model_id)))
        chosen |= {
            (suite.name, model_id): sum(pairing.wants(call) for call in calls if call.suite == suite.name)
            for suite in suites
        }
    assert {(cell.cell.suite, cell.cell.model_id): cell.n_direct for cell in planned.cells} == chosen
    assert sorted(chosen.values()) == [0, 0, 1, 2, 5, 5]


def test_an_unknown_price_of_a_pair_is_unknown(a_project):
    """Zero is only said of what is not sent."""
    models = [a_model("unknown", price=None)]
    (sends,) = plan(a_project(models=models, **DIRECT)).cells
    (off,) = plan(a_project(models=models, **DIRECT, limits={"baseline_calls": 0})).cells
    assert (sends.n_direct, sends.direct_usd_expected, sends.direct_usd_at_most) == (1, None, None)
    assert (off.n_direct, off.direct_usd_expected, off.direct_usd_at_most) == (0, 0.0, 0.0)


def test_another_baseline_is_another_plan(a_project):
    """Times against two addresses are never mixed in one run; without one the digest is what it was."""
    gateway = {"gateway": DIRECT["gateway"]}
    other = DIRECT | {"baseline_gateway": {"kind": "openai", "base_url": "http://other.test/v1"}}
    off = DIRECT | {"limits": {"baseline_calls": 0}}
    digests = [plan(a_project(**config)).digest for config in (gateway, DIRECT, other, off)]
    assert len(set(digests)) == 3
    assert digests[0] == digests[3]


@pytest.mark.parametrize(
    ("selection", "what"),
    [
        (Selection(suites=("nosuch",)), "suite"),
        (Selection(model_ids=("nosuch",)), "model"),
        (Selection(tags=("nosuch",)), "tag"),
        (Selection(case_ids=("nosuch",)), "case"),
    ],
)
def test_an_unknown_name_is_refused(two_by_two, selection, what):
    """A typing mistake must not measure nothing in silence; the message lists what there is."""
    with pytest.raises(NotFoundError, match=f"no {what} is named 'nosuch'"):
        plan(two_by_two, selection)


def test_the_digest_covers_what_changes_a_call(a_project):
    """Whatever makes other calls makes another plan: a run never mixes two kinds of call for one case."""
    schema = {"prompt": "{{ question }}", "response": {"schema": {"type": "object"}}}
    base = {"suites": [a_suite(request=schema)], "models": [a_model()]}
    variants = [
        base,
        base | {"models": [a_model(capabilities={"structured": "json_object"})]},
        base | {"models": [a_model(capabilities={"structured": "json_schema", "temperature": False})]},
        base | {"models": [a_model(max_output_tokens=100)]},
        base | {"models": [a_model(context_tokens=500)]},
        base | {"models": [a_model(route="other")]},
        base | {"suites": [a_suite(request=schema | {"system": "Be brief."})]},
        base | {"suites": [a_suite(request=schema, trials=2)]},
        base | {"gateway": {"kind": "openai", "base_url": "http://127.0.0.1:1/v1"}},
    ]
    digests = [plan(a_project(**variant)).digest for variant in variants]
    assert len(set(digests)) == len(variants)


def test_a_price_does_not_make_another_plan(a_project):
    """Prices and limits may be corrected while a run is unfinished."""
    dear = a_model(price={"input_usd_per_mtok": 99, "output_usd_per_mtok": 99}, limits={"concurrency": 1})
    assert plan(a_project(models=[dear])).digest == plan(a_project()).digest


def test_the_route_is_the_gateways_own(a_project):
    """A model that goes by another name at this gateway is asked for by that name."""
    model = a_model(routes={"simulator": "sim/gpt"})
    assert next(plan(a_project(models=[model])).calls_of("gpt-4o")).route == "sim/gpt"

"""Every decision of the live callback, on plain data: who is let in, to which group, and what speaks against it."""

from __future__ import annotations

import json

import pytest

from evalkit.router import gatekeeper
from evalkit.router.gatekeeper import DeniedError, Route
from evalkit.router.reader import EligibilityReader

NOW = 1_800_000_000.0 + 3600
"""An hour after the document was made."""
DAY_S = 86_400.0


def deployment(group, model, *, name="", api_base=None):
    """An entry of LiteLLM's model_list."""
    params = {"model": name or f"openai/{model}", **({"api_base": api_base} if api_base else {})}
    info = {} if model is None else {"evalkit_model": model}
    return {"model_name": group, "litellm_params": params, "model_info": {"id": f"{group}-{model}", **info}}


EXPORTED = [deployment("qa", "a"), deployment("qa#1", "b"), deployment("closed", "c"), deployment("qa#2", "c")]
"""As the exporter writes them, one position still there for a model the file no longer has."""
MIXED = [deployment("pool", "a"), deployment("pool", "c"), deployment("pool", "b"), deployment("pool", None)]


@pytest.fixture
def path(tmp_path, document, data_of):
    """The document on disk: task `qa` has a and b, task `closed` nobody."""
    path = tmp_path / "eligibility.json"
    path.write_bytes(data_of(document))
    return path


@pytest.fixture
def view(path):
    """What the file says about a task at a time."""

    def look(task="qa", now=NOW):
        return EligibilityReader(path, audience="prod", now=lambda: now).view(task)

    return look


def reason(call, *args, **kwargs):
    """Why it is denied; None when it is not."""
    try:
        call(*args, **kwargs)
    except DeniedError as error:
        return error.reason if str(error).startswith(f"{error.reason}: ") else "the message does not begin with it"
    return None


@pytest.mark.parametrize(("headers", "metadata", "task"), [
    ({"x-evalkit-task": "qa"}, [], "qa"),
    ({}, [{"task": "qa"}], "qa"),
    ({}, [{}, {"task": "qa"}], "qa"),
    ({"x-evalkit-task": "qa"}, [{"task": "qa"}, {"task": None}], "qa"),
])  # fmt: skip
def test_the_task_is_in_the_header_or_in_the_metadata(headers, metadata, task):
    """Wherever it stands, and however often it says the same."""
    assert gatekeeper.task_of(headers, metadata) == task


@pytest.mark.parametrize(("headers", "metadata", "why"), [
    ({}, [], "no_task"),
    ({"x-evalkit-task": ""}, [], "no_task"),
    ({}, [{"task": ["qa"]}], "no_task"),
    ({}, [{"task": 7}], "no_task"),
    ({"x-evalkit-task": "qa"}, [{"task": "closed"}], "task_conflict"),
    ({}, [{"task": "qa"}, {"task": "closed"}], "task_conflict"),
    ({"x-evalkit-task": "qa"}, [{"task": ""}], "no_task"),
])  # fmt: skip
def test_a_task_that_is_not_clear_is_denied(headers, metadata, why):
    """None, two, or something that is no text."""
    assert reason(gatekeeper.task_of, headers, metadata) == why


@pytest.mark.parametrize(("headers", "metadata", "session"), [
    ({"x-evalkit-session": "s"}, [{"session_id": "t"}], "s"),
    ({}, [{"session_id": "t"}], "t"),
    ({}, [{"session_id": 7}], "7"),
    ({}, [{"session_id": "t", "litellm_session_id_generated": True}], None),
    ({}, [{"session_id": True}, {"session_id": ["x"]}, {"session_id": ""}], None),
    ({}, [], None),
])  # fmt: skip
def test_the_conversation_is_in_the_header_or_in_the_metadata(headers, metadata, session):
    """One that LiteLLM made up for a single request is none."""
    assert gatekeeper.session_of(headers, metadata) == session


@pytest.mark.parametrize("call_type", ["acompletion", "atext_completion", "aembedding", "aresponses",
                                       "anthropic_messages"])  # fmt: skip
def test_five_surfaces_are_covered(call_type):
    """Those the tests with the real proxy run."""
    assert reason(gatekeeper.check_surface, call_type) is None


@pytest.mark.parametrize("call_type", ["pass_through_endpoint", "_arealtime", "acreate_batch", "aimage_generation",
                                       "agenerate_content", "aget_responses", "moderation", "", "new"])  # fmt: skip
def test_every_other_route_is_denied(call_type):
    """Also one nobody has thought of."""
    assert reason(gatekeeper.check_surface, call_type) == "not_covered"


@pytest.mark.parametrize("name", ["api_base", "user_config", "extra_body", "models", "specific_deployment", "fancy"])
def test_a_client_may_not_say_where_to_go(name):
    """Neither past the gateway's list nor past its upstream's; what a deployment may configure is forbidden, too."""
    data = {"model": "qa", "messages": [], name: "x"}
    assert reason(gatekeeper.check_parameters, data, forbidden={"fancy", "timeout"}) == "forbidden_parameter"
    assert reason(gatekeeper.check_parameters, {**data, name: None}, forbidden={"fancy"}) is None


def test_a_client_may_say_how():
    """Sampling, retries and time limits are its own business."""
    data = {"model": "qa", "temperature": 0, "timeout": 3, "tags": ["x"], "num_retries": 0, "disable_fallbacks": True}
    assert reason(gatekeeper.check_parameters, data, forbidden={"timeout", "tags"}) is None


def test_the_admitted_come_in_order(view):
    """As the file has them."""
    assert gatekeeper.admitted_by(view(), "qa") == ("a", "b")


@pytest.mark.parametrize(("task", "now", "why"), [("closed", NOW, "no_candidate"), ("nope", NOW, "unknown_task"),
                                                  ("qa", NOW + 9 * DAY_S, "expired")])  # fmt: skip
def test_nobody_admitted_is_denied(view, task, now, why):
    """And the reason says which of the three it is."""
    assert reason(gatekeeper.admitted_by, view(task, now), task) == why


def test_the_tasks_own_group_goes_to_the_first_candidate(view):
    """With the eligible groups behind it, of those the gateway falls back to."""
    found = gatekeeper.route_of("qa", task="qa", view=view(), deployments=EXPORTED, configured=("qa#1", "qa#2"))
    assert found == Route(group="qa", fallbacks=("qa#1",))
    assert gatekeeper.route_of("qa", task="qa", view=view(), deployments=EXPORTED) == Route(group="qa")
    assert gatekeeper.route_of("qa", task="qa", view=view(), deployments=EXPORTED, configured=()) == Route(
        group="qa", fallbacks=()
    )


def test_a_withdrawn_primary_is_passed_over(view):
    """After a day the first candidate has expired: the request goes on to the second and stops there."""
    found = gatekeeper.route_of(
        "qa", task="qa", view=view(now=NOW + DAY_S), deployments=EXPORTED, configured=("qa#1", "qa#2")
    )
    assert found == Route(group="qa#1", fallbacks=())


def test_the_order_is_the_files(view):
    """Not that of the gateway's configuration, which is as old as its last start."""
    swapped = [deployment("qa", "b"), deployment("qa#1", "a")]
    found = gatekeeper.route_of("qa", task="qa", view=view(), deployments=swapped, configured=("qa#1",))
    assert found == Route(group="qa#1", fallbacks=("qa",))


@pytest.mark.parametrize(("pinned", "group", "rest"), [("b", "qa#1", ("qa",)), ("a", "qa", ("qa#1",)),
                                                       ("c", "qa", ("qa#1",)), (None, "qa", ("qa#1",))])  # fmt: skip
def test_a_conversation_stays_with_its_model_while_that_is_eligible(view, pinned, group, rest):
    """Then it goes to the first candidate."""
    found = gatekeeper.route_of(
        "qa", task="qa", view=view(), deployments=EXPORTED, pinned=pinned, configured=("qa#1", "qa#2")
    )
    assert found == Route(group=group, fallbacks=rest)


@pytest.mark.parametrize(("asked", "why"), [
    ("qa#1", None), ("pool", None),
    ("qa#2", "no_eligible_deployment"), ("closed", "other_task"), ("closed#1", "not_a_group"),
    ("qa-a", "not_a_group"), ("openai/a", "not_a_group"), ("qa,pool", "not_a_group"), ("a", "not_a_group"),
    (None, "not_a_group"), ("", "not_a_group"), (["qa"], "not_a_group"), ({"qa": 1}, "not_a_group"),
    ("star*", "not_a_group"), ("x,y", "not_a_group"),
])  # fmt: skip
def test_another_name_is_a_group_with_somebody_eligible_or_denied(view, asked, why):
    """A deployment's id, a provider's name, a list, a pattern: nothing but a group in full, and not another task's."""
    deployments = [*EXPORTED, *MIXED, deployment("star*", "a"), deployment("x,y", "a")]
    assert reason(gatekeeper.route_of, asked, task="qa", view=view(), deployments=deployments) == why
    if why is None:
        found = gatekeeper.route_of(asked, task="qa", view=view(), deployments=deployments, configured=("qa#1",))
        assert found == Route(group=asked)


def test_no_deployment_of_a_candidate_is_denied(view):
    """The file is ahead of the gateway's configuration."""
    for deployments in ([], [deployment("qa", "z")], [deployment("qa", None)], [deployment("other", "a")]):
        denied = reason(gatekeeper.route_of, "qa", task="qa", view=view(), deployments=deployments)
        assert denied == "no_eligible_deployment"


def test_fallbacks_of_a_client_are_groups(view):
    """Who may serve there is looked at when it comes to that."""
    known = {"task": "qa", "tasks": view().tasks, "deployments": [*EXPORTED, *MIXED]}
    assert reason(gatekeeper.check_fallbacks, ["pool", "qa#2"], **known) is None
    assert reason(gatekeeper.check_fallbacks, [], **known) is None
    assert reason(gatekeeper.check_fallbacks, "pool", **known) == "forbidden_parameter"
    for bad in (["qa-a"], [{"model": "pool"}], [{"qa": ["pool"]}], [None]):
        assert reason(gatekeeper.check_fallbacks, bad, **known) == "not_a_group"
    assert reason(gatekeeper.check_fallbacks, ["closed"], **known) == "other_task"


def test_a_mixed_group_keeps_who_is_eligible(view):
    """In its order; who says nothing of itself is not."""
    kept = gatekeeper.keep_eligible(MIXED, task="qa", view=view())
    assert [gatekeeper.model_of(each) for each in kept] == ["a", "b"]
    kept = gatekeeper.keep_eligible(MIXED, task="qa", view=view(), pinned="b")
    assert [gatekeeper.model_of(each) for each in kept] == ["b"]
    for pinned in ("c", "z"):
        assert len(gatekeeper.keep_eligible(MIXED, task="qa", view=view(), pinned=pinned)) == 2


def test_none_of_some_is_denied_and_none_of_none_is_not(view):
    """A group the gateway has emptied by a cooldown is the gateway's own affair."""
    assert gatekeeper.keep_eligible([], task="qa", view=view()) == []
    assert reason(gatekeeper.keep_eligible, MIXED[1:2], task="qa", view=view()) == "no_eligible_deployment"
    assert reason(gatekeeper.keep_eligible, MIXED, task="qa", view=view(now=NOW + 9 * DAY_S)) == "expired"


@pytest.mark.parametrize("info", [None, {}, {"evalkit_model": ""}, {"evalkit_model": 7}, {"evalkit_model": ["a"]}])
def test_a_deployment_that_does_not_say_who_it_is_is_nobody(info):
    """Never a guess from its name."""
    assert gatekeeper.model_of({"model_name": "a", "model_info": info}) is None


@pytest.mark.parametrize(("call", "why"), [
    ({"model": "openai/lab/a", "api_base": "http://up/v1"}, None),
    ({"model": "lab/a", "api_base": "http://up/v1"}, None),
    ({"model": "openai/lab/a"}, None),
    ({"model": "openai/lab/b", "api_base": "http://up/v1"}, "other_destination"),
    ({"model": "ab/a"}, "other_destination"),
    ({"model": ""}, "other_destination"),
    ({"model": None}, "other_destination"),
    ({}, "other_destination"),
    ({"model": "openai/lab/a", "api_base": "http://evil/v1"}, "other_destination"),
    ({"model": "openai/lab/a", "api_base": "http://up/v1", "base_url": "http://evil"}, "other_destination"),
])  # fmt: skip
def test_a_call_goes_where_its_deployment_does(view, call, why):
    """Its model, with or without the provider in front, and its address."""
    target = deployment("qa", "a", name="openai/lab/a", api_base="http://up/v1")
    assert reason(gatekeeper.check_destination, call, target, task="qa", view=view()) == why
    if why is None:
        assert gatekeeper.check_destination(call, target, task="qa", view=view()) == "a"


def test_a_call_to_somebody_who_is_not_eligible_is_denied(view):
    """By whatever way it came so far."""
    for model in ("c", None):
        call, target = {"model": f"openai/{model}"}, deployment("qa", model)
        assert reason(gatekeeper.check_destination, call, target, task="qa", view=view()) == "no_eligible_deployment"
    late = view(now=NOW + 9 * DAY_S)
    call, target = {"model": "openai/a"}, deployment("qa", "a")
    assert reason(gatekeeper.check_destination, call, target, task="qa", view=late) == "expired"


def test_listed_is_what_can_be_served(view):
    """For one task or for all; the group of a task with nobody, and a position that was withdrawn, are not."""
    deployments = [*EXPORTED, *MIXED, deployment("bad", "c")]
    names = ["qa", "qa#1", "qa#2", "closed", "pool", "bad"]

    def listed(*tasks, now=NOW):
        views = {task: view(task, now) for task in tasks}
        return [name for name in names if gatekeeper.is_listed(name, deployments=deployments, views=views)]

    assert listed("qa", "closed") == ["qa", "qa#1", "pool"]
    assert listed("closed") == []
    assert listed("nope") == []
    assert listed() == []
    assert listed("qa", now=NOW + DAY_S) == ["qa", "qa#1", "pool"], "the task's own group is served by the second"


@pytest.mark.parametrize(("answer", "name"), [
    ('{"model": "gpt-4o-2024-08-06"}', "gpt-4o-2024-08-06"),
    ({"model": "vendor/large:free"}, "vendor/large:free"),
    ('{"model": null}', None), ("{}", None), ("[]", None), ("", None), ("not json", None), (None, None), (b"{}", None),
    ('{"model": ""}', None), ('{"model": 7}', None), ({"model": "a\r\nset-cookie: x"}, None),
    ({"model": "modèle"}, None), ({"model": " x"}, None), ({"model": "x" * 257}, None), ("[" * 100_000, None),
])  # fmt: skip
def test_the_raw_name_is_the_upstreams_own_or_none(answer, name):
    """Nothing is claimed for an answer without one, and nothing goes into a header that has no place there."""
    assert gatekeeper.raw_model_of(answer) == name


def test_a_huge_answer_is_not_searched():
    """An answer of five megabytes is not parsed for a name."""
    assert gatekeeper.raw_model_of(json.dumps({"model": "m", "text": "x" * 5_000_000})) is None


def test_the_probe_needs_its_name_and_its_header():
    """So that no client's request is taken for one."""
    assert gatekeeper.is_probe("evalkit/identity-probe", {"x-evalkit-probe": "identity"})
    assert not gatekeeper.is_probe("evalkit/identity-probe", {})
    assert not gatekeeper.is_probe("qa", {"x-evalkit-probe": "identity"})


def test_cached_answers_are_each_models_own():
    """Whatever the client asks of the cache besides."""
    assert gatekeeper.cache_of(None, "a") == {"namespace": "evalkit:a"}
    asked = {"no-store": True, "namespace": "theirs"}
    assert gatekeeper.cache_of(asked, "a") == {"no-store": True, "namespace": "evalkit:a"}


def test_conversations_stay_unless_the_policy_lets_them_go(path, document, data_of, view):
    """Sticky is the default, also for a file that does not say."""
    assert gatekeeper.is_sticky(view())
    assert not gatekeeper.is_sticky(view("nope"))
    document["tasks"]["qa"]["failover"] = {"session": "any"}
    path.write_bytes(data_of(document))
    assert not gatekeeper.is_sticky(view())


def test_a_view_is_of_one_file(view, document):
    """Candidates, entry, tasks and digest belong together."""
    found = view()
    assert found.live == document["digest"][7:19]
    assert [one.model_id for one in found.admitted] == ["a", "b"]
    assert found.entry == document["tasks"]["qa"]
    assert set(found.tasks) == {"qa", "closed"}
    assert (view("nope").entry, view("nope").admitted) == (None, ())

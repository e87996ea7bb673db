"""What is asked of a live gateway: planned from the file alone, and sharp where the file allows it."""

from __future__ import annotations

import json

import pytest

from evalkit.errors import InputError, NotFoundError
from evalkit.pipeline.dialects import DIALECTS, dialect_of
from evalkit.pipeline.gateway_probes import (
    Deployment,
    ground_of,
    plan_listing,
    plan_negatives,
    plan_positive,
    plan_scoped,
)
from evalkit.testing.eligibility import an_eligibility

MODELS = {
    "a": {"route": "openai/a-1", "routes": {"upstream": "a-upstream"}},
    "b": {"route": "openai/b-1"},
    "c": {"route": "acme/c-1", "provider": "acme"},
}
PROVIDERS = {"acme": {"kind": "openai", "api_base": "http://127.0.0.1:9/v1"}}
REJECTED = {"model": "d", "verdict": "ineligible", "reasons": [{"code": "gate_failed"}]}


def a_ground(tasks=None, *, task="qa", entries=None, candidates=None):
    """Return the ground of a file: `qa` for a and b, `chat` for c, `closed` for nobody; d was rejected for `qa`."""
    offered = {"qa": ["a", "b"], "chat": ["c"], "closed": []} if tasks is None else tasks
    eligibility = an_eligibility(
        offered,
        models={name: MODELS[name] for models in offered.values() for name in models},
        entries={"qa": {"rejected": [REJECTED]}} if entries is None else entries,
        candidates=candidates,
        providers=PROVIDERS,
    )
    admitted = {name: tuple(models) for name, models in offered.items()}
    return ground_of(eligibility, admitted=admitted, task=task)


def asked(probes):
    """Return name, model and task of each probe."""
    return [(probe.name, json.loads(probe.body)["model"], probe.headers.get("x-evalkit-task")) for probe in probes]


class TestGround:
    """Which task, and who may not serve it."""

    def test_first_task_with_a_candidate(self):
        """Without a task the first that can be served is taken."""
        assert a_ground({"closed": [], "chat": ["c"], "qa": ["a"]}, task=None).task == "chat"

    def test_others(self):
        """Models of other tasks come before those that were rejected: more of their names are known."""
        assert a_ground().others == ("c", "d")

    @pytest.mark.parametrize("task", ["closed", "nosuch"])
    def test_task_that_cannot_be_served(self, task):
        """There is nothing to probe, and the message names the tasks there are."""
        with pytest.raises(InputError, match="one of: qa, chat"):
            a_ground(task=task)

    def test_names(self):
        """Every name the file knows; a rejected model has its id alone."""
        assert a_ground().names_of("a") == ("a", "openai/a-1", "a-upstream")
        assert a_ground().names_of("d") == ("d",)


class TestPositive:
    """What an honest caller sends."""

    @pytest.mark.parametrize(
        ("kind", "model", "headers"),
        [
            ("litellm", "qa", {"x-evalkit-task": "qa"}),
            ("openai", "qa", {"x-evalkit-task": "qa"}),
            ("portkey", "qa", {"x-evalkit-task": "qa", "x-portkey-metadata": '{"task":"qa"}'}),
            ("tensorzero", "tensorzero::function_name::qa", {}),
            ("openrouter", "openai/a-1", {}),
        ],
    )
    def test_in_each_dialect(self, kind, model, headers):
        """One token, the task where the kind wants it."""
        probe = plan_positive(a_ground(), dialect_of(kind))

        body = json.loads(probe.body)
        assert (body["model"], body["max_tokens"], probe.headers) == (model, 1, headers)

    def test_limit_as_the_model_wants_it(self):
        """A model that knows another name for its limit is asked with that."""
        adapt = {"request": {"mode": "text", "adapt": {"max_tokens_field": "max_completion_tokens"}}}
        probe = plan_positive(a_ground(candidates={"a": adapt}), dialect_of("openai"))

        assert json.loads(probe.body)["max_completion_tokens"] == 1
        assert "max_tokens" not in json.loads(probe.body)

    def test_nobody(self):
        """A file that denies everything leaves nothing to be served."""
        assert plan_positive(a_ground({"closed": []}, task=None, entries={}), dialect_of("openai")) is None


class TestNegatives:
    """What must be refused."""

    def test_contract(self):
        """A wrong model, a wrong task and no task; only one thing is wrong in each."""
        assert asked(plan_negatives(a_ground(), dialect_of("openai"))) == [
            ("ineligible model", "c", "qa"),
            ("ineligible model", "acme/c-1", "qa"),
            ("ineligible model", "chat", "qa"),
            ("unknown task", "qa", "evalkit-no-such-task"),
            ("task nobody may serve", "qa", "closed"),
            ("no task", "qa", None),
        ]

    def test_litellm(self):
        """And its side doors, with what the proxy told of itself."""
        deployments = [
            Deployment(deployment_id="id-a", group="qa", model_id="a"),
            Deployment(deployment_id="id-c", group="other", model_id="c"),
        ]
        probes = plan_negatives(a_ground(), dialect_of("litellm"), deployments=deployments, served_by="id-a")

        found = {probe.name: probe for probe in probes}
        assert json.loads(found["deployment id"].body)["model"] == "id-c"
        assert json.loads(found["provider shorthand"].body)["model"] == "openai/acme/c-1".replace("acme/", "")
        assert json.loads(found["several models at once"].body)["model"] == "qa,other"
        fallbacks = json.loads(found["client's own fallbacks"].body)
        assert fallbacks["fallbacks"] == [{"model": "other", "specific_deployment": False}]
        assert found["client's own fallbacks"].provokes == {429}
        assert all(probe.headers == {"x-evalkit-task": "qa"} for name, probe in found.items() if "task" not in name)

    def test_litellm_that_tells_nothing(self):
        """Its ids are learnt from whom it let serve, and groups from the file."""
        probes = plan_negatives(a_ground(), dialect_of("litellm"), served_by="id-a")

        models = {probe.name: json.loads(probe.body)["model"] for probe in probes}
        assert models["deployment id"] == "id-a"
        assert models["several models at once"] == "qa,chat"

    def test_models_that_are_all_eligible(self):
        """Without a model that may not serve there is none to ask for; the tasks are asked for all the same."""
        probes = plan_negatives(a_ground({"qa": ["a"]}, entries={}), dialect_of("litellm"))

        assert [probe.name for probe in probes] == ["unknown task", "no task"]

    def test_name_that_is_also_a_task(self):
        """A model that shares its name with what honest callers ask for is not asked for by it."""
        ground = a_ground({"qa": ["a"]}, entries={"qa": {"rejected": [{**REJECTED, "model": "qa"}]}})

        assert "ineligible model" not in {probe.name for probe in plan_negatives(ground, dialect_of("openai"))}

    def test_task_of_that_very_name(self):
        """A file that has the made-up task gets another."""
        ground = a_ground({"qa": ["a"], "evalkit-no-such-task": ["a"]}, entries={})

        (unknown,) = [one for one in plan_negatives(ground, dialect_of("openai")) if one.name == "unknown task"]
        assert unknown.headers["x-evalkit-task"] == "evalkit-no-such-task-"
        assert unknown.task is None

    def test_tensorzero(self):
        """The task is the function: a wrong one is asked for by name."""
        models = {
            (probe.name, json.loads(probe.body)["model"])
            for probe in plan_negatives(a_ground(), DIALECTS["tensorzero"])
        }

        assert ("unknown task", "tensorzero::function_name::evalkit-no-such-task") in models
        assert ("task nobody may serve", "tensorzero::function_name::closed") in models
        assert ("provider shorthand", "tensorzero::model_name::openai::c-1") in models
        assert ("variant by name", "tensorzero::function_name::qa") in models

    def test_portkey_without_its_configuration(self):
        """The caller's own choice of provider, without the configuration and without the key."""
        (probe,) = [one for one in plan_negatives(a_ground(), DIALECTS["portkey"]) if one.name == "no configuration"]

        assert probe.headers == {"x-portkey-provider": "openai", "x-portkey-custom-host": "http://127.0.0.1:9/v1"}
        assert probe.without_headers == {"x-portkey-config", "authorization"}
        assert "127.0.0.1" not in probe.sent

    def test_openrouter(self):
        """Tasks are keys there: only models can be named."""
        names = {probe.name for probe in plan_negatives(a_ground(), DIALECTS["openrouter"])}

        assert names == {"ineligible model", "client's own fallbacks", "automatic router"}

    @pytest.mark.parametrize("kind", list(DIALECTS))
    def test_no_two_alike(self, kind):
        """No request is paid for twice."""
        probes = plan_negatives(a_ground(), dialect_of(kind), served_by="id-a")
        requests = [(probe.body, *sorted(probe.headers.items()), probe.without_headers) for probe in probes]

        assert len(set(requests)) == len(requests)

    def test_route_with_braces(self):
        """A name is never read as a text to fill in."""
        ground = a_ground()
        entry = ground.eligibility.models["c"].model_copy(update={"route": "{task}/{nobody}"})
        models = {**ground.eligibility.models, "c": entry}
        eligibility = ground.eligibility.model_copy(update={"models": models})

        probes = plan_negatives(ground_of(eligibility, admitted=ground.admitted, task="qa"), dialect_of("openai"))
        assert "{task}/{nobody}" in {json.loads(probe.body)["model"] for probe in probes}


class TestScoped:
    """A key that belongs to one task."""

    def test_own_and_another(self):
        """It is tried on its own task and on another that is served."""
        own, foreign = plan_scoped(a_ground(), dialect_of("litellm"))

        assert asked([own, foreign]) == [
            ("scoped key: own task is served", "qa", "qa"),
            ("scoped key: another task", "chat", "chat"),
        ]

    def test_no_other(self):
        """With one task there is no other."""
        assert plan_scoped(a_ground({"qa": ["a"], "closed": []}), dialect_of("litellm"))[1] is None

    def test_where_only_models_can_be_named(self):
        """A model both tasks have would prove nothing."""
        shared = {"qa": ["a"], "chat": ["a", "c"]}
        assert plan_scoped(a_ground(shared), dialect_of("openrouter"))[1] is None
        _, foreign = plan_scoped(a_ground({"qa": ["a"], "chat": ["c"]}), dialect_of("openrouter"))
        assert json.loads(foreign.body)["model"] == "acme/c-1"

    def test_names_it_may_be_shown(self):
        """The task, its positions, its models by any name; nothing else."""
        allowed = plan_listing(a_ground(), dialect_of("litellm"))

        assert {"qa", "qa#1", "a", "openai/a-1", "a-upstream", "b"} <= allowed
        assert not {"chat", "c", "qa#2", "*"} & allowed


def test_unknown_kind():
    """The kinds there are probes for are named."""
    with pytest.raises(NotFoundError, match="litellm, portkey, tensorzero, openrouter, envoy, openai"):
        dialect_of("smoke-signals")

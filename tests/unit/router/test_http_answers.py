"""The reader's decision as HTTP answers: what is not a plain yes is a no."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from evalkit.canonical import canonical_json, digest_of
from evalkit.router.http_answers import Asked, EligibilityDesk
from evalkit.router.reader import EligibilityReader

NOW = 1_800_000_000.0
"""2027-01-15T08:00:00Z, when the file was made."""
TOLERANCE_S = 120


def a_candidate(model, *, valid_until="2027-01-17T08:00:00Z", admitted_by="evidence"):
    """Return one candidate of the file."""
    request = {"mode": "json_schema", "adapt": {"system_role": "user"}}
    return {"model": model, "valid_until": valid_until, "admitted_by": admitted_by, "request": request}


def a_document(**changes):
    """Return a file: `qa` may be served by a (its pin, until noon) and b, `closed` by nobody."""
    document = {
        "format": "evalkit.eligibility/1",
        "audience": "prod",
        "generated_at": "2027-01-15T08:00:00Z",
        "default": "deny",
        "simulated": False,
        "models": {
            "a": {"route": "openai/a", "routes": {"litellm": "a-eu"}, "provider": "openai", "host": None},
            "b": {"route": "mistral/b", "provider": "mistral", "quantization": "fp8"},
        },
        "tasks": {
            "qa": {
                "pin": "a",
                "on_expiry": "deny",
                "failover": {"retries": 2},
                "spend_cap": {"usd": 5, "per": "1d"},
                "latency": {"p95_s": 4.0},
                "candidates": [a_candidate("a", valid_until="2027-01-15T12:00:00Z"), a_candidate("b")],
            },
            "closed": {"pin": None, "on_expiry": "deny", "candidates": []},
        },
    } | changes
    return document | {"digest": digest_of(document)}


class Desk:
    """A desk over a file of its own, with a clock that a test sets."""

    def __init__(self, path, *, check_every_s=1.0):
        self.path = path
        self.now = NOW
        self.write(a_document())
        reader = EligibilityReader(path, audience="prod", check_every_s=check_every_s, now=lambda: self.now)
        self._desk = EligibilityDesk(reader, check_every_s=check_every_s, now=lambda: self.now)

    def write(self, document):
        """Replace the file."""
        data = document if isinstance(document, bytes) else canonical_json(document) + b"\n"
        self.path.write_bytes(data)

    def ask(self, target, *, method="GET", **headers):
        """Ask; header names are written with underscores."""
        path, _, query = target.partition("?")
        pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return self._desk.answer(Asked(method=method, path=path, query=query, headers=pairs))


@pytest.fixture
def desk(tmp_path):
    """A desk that looks at its file every second."""
    return Desk(tmp_path / "e.json")


def body(answer):
    """Return the answer's document."""
    return json.loads(answer.body)


def reason(answer):
    """Return status and reason of a refusal; it may never be kept."""
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers
    error = body(answer)["error"]
    assert error["code"] == "evalkit_ineligible"
    return answer.status, error["reason"]


class TestCandidates:
    """`GET /v1/tasks/{task}/candidates`."""

    def test_in_order_with_all_a_router_needs(self, desk):
        """Models in file order, how to ask them, and the instructions of the task."""
        answer = desk.ask("/v1/tasks/qa/candidates")

        assert answer.status == 200
        found = body(answer)
        assert found["task"] == "qa"
        assert [one["model"] for one in found["candidates"]] == ["a", "b"]
        assert found["candidates"][0] == {
            "model": "a",
            "route": "openai/a",
            "routes": {"litellm": "a-eu"},
            "provider": "openai",
            "host": None,
            "quantization": None,
            "context_tokens": None,
            "max_output_tokens": None,
            "identity": None,
            "request": {"mode": "json_schema", "adapt": {"system_role": "user"}},
            "valid_until": "2027-01-15T12:00:00Z",
            "admitted_by": "evidence",
            "is_pin": True,
        }
        assert (found["failover"], found["spend_cap"], found["latency"]) == (
            {"retries": 2},
            {"usd": 5, "per": "1d"},
            {"p95_s": 4.0},
        )
        assert found["eligibility"] == answer.headers["x-evalkit-eligibility"]
        assert found["eligibility"] == a_document()["digest"][7:19]

    def test_expired_candidate_is_gone(self, desk):
        """Each candidate ends on its own."""
        desk.now += 5 * 3600

        assert [one["model"] for one in body(desk.ask("/v1/tasks/qa/candidates"))["candidates"]] == ["b"]

    @pytest.mark.parametrize(
        ("task", "why"),
        [("closed", "no_candidate"), ("nosuch", "unknown_task"), (quote("a/b", safe=""), "unknown_task")],
    )
    def test_nobody(self, desk, task, why):
        """Nobody to serve it is a 403, and says which file decided."""
        answer = desk.ask(f"/v1/tasks/{task}/candidates")

        assert reason(answer) == (403, why)
        assert answer.headers["x-evalkit-eligibility"] == a_document()["digest"][7:19]

    def test_percent_encoded_task(self, desk):
        """A name is decoded once."""
        desk.write(a_document(tasks={"a:b+c": a_document()["tasks"]["qa"]}))

        assert body(desk.ask("/v1/tasks/a%3Ab%2Bc/candidates"))["task"] == "a:b+c"
        assert reason(desk.ask("/v1/tasks/a%253Ab%252Bc/candidates")) == (403, "unknown_task")


class TestDecide:
    """`GET /v1/decide`."""

    @pytest.mark.parametrize("model", ["a", "b"])
    def test_yes(self, desk, model):
        """A candidate may serve, by parameters or by headers."""
        asked = desk.ask(f"/v1/decide?task=qa&model={model}&session=s-1")
        told = desk.ask("/v1/decide", x_evalkit_task="qa", x_evalkit_model=model, x_evalkit_session="s-1")

        assert asked.status == told.status == 200
        assert asked.body == told.body
        assert body(asked)["candidate"]["model"] == model
        assert "x-evalkit-task" in told.headers["vary"]

    @pytest.mark.parametrize(
        ("query", "why"),
        [
            ("task=qa&model=z", "not_eligible"),
            ("task=qa&model=", "not_eligible"),
            ("task=qa&model=openai/a", "not_eligible"),
            ("task=closed&model=a", "no_candidate"),
            ("task=nosuch&model=a", "unknown_task"),
            ("model=a", "no_task"),
            ("task=&model=a", "no_task"),
            ("task=qa", "no_model"),
            ("", "no_task"),
        ],
    )
    def test_no(self, desk, query, why):
        """Another model, task or name, and every name left out."""
        assert reason(desk.ask(f"/v1/decide?{query}")) == (403, why)

    @pytest.mark.parametrize(
        ("query", "headers"),
        [
            ("task=qa&modle=a&model=a", {}),
            ("task=qa&model=a&model=b", {}),
            ("task=qa&model=a&task=closed", {}),
            ("task=qa&model=a", {"x_evalkit_task": "closed"}),
            ("task=qa&model=a&current=b", {}),
            ("&".join(["task=qa"] * 40), {}),
        ],
        ids=["unknown", "two models", "two tasks", "header against query", "both questions", "too many"],
    )
    def test_unclear(self, desk, query, headers):
        """What could be read in two ways is not answered."""
        answer = desk.ask(f"/v1/decide?{query}", **headers)

        assert answer.status == 400
        assert body(answer)["error"]["code"] == "evalkit_bad_request"

    def test_same_value_twice_is_clear(self, desk):
        """A proxy that adds the header to the parameter says the same."""
        assert desk.ask("/v1/decide?task=qa&model=a", x_evalkit_task="qa", x_evalkit_model="a").status == 200


class TestConversation:
    """`current`: the client remembers, the server does not."""

    @pytest.mark.parametrize(
        ("current", "model", "is_moved"), [("b", "b", False), ("a", "a", False), ("z", "a", True), ("", "a", False)]
    )
    def test_keeps_its_model_while_it_may(self, desk, current, model, is_moved):
        """Else it moves to the first, and the answer says so; a new conversation does not move."""
        for target in (f"/v1/decide?task=qa&current={current}", f"/v1/tasks/qa/candidates?current={current}"):
            answer = desk.ask(target)

            assert (body(answer)["model"], body(answer)["moved"]) == (model, is_moved)
            assert answer.headers.get("x-evalkit-session-moved") == ("1" if is_moved else None)

    def test_moves_when_its_model_expires(self, desk):
        """An expiry moves it, too."""
        assert body(desk.ask("/v1/decide?task=qa&current=a"))["moved"] is False
        desk.now += 5 * 3600

        assert body(desk.ask("/v1/decide?task=qa&current=a"))["model"] == "b"

    def test_nobody_left(self, desk):
        """Nobody to move to is a no."""
        assert reason(desk.ask("/v1/decide?task=closed&current=a")) == (403, "no_candidate")


class TestFile:
    """The file behind the answers."""

    def test_bytes(self, desk):
        """`GET /v1/eligibility` gives the accepted file, byte for byte."""
        assert desk.ask("/v1/eligibility").body == desk.path.read_bytes()

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"", "truncated"),
            (a_document(audience="staging"), "wrong_audience"),
            (a_document(simulated=True), "simulated"),
            (a_document() | {"audience": "prod "}, "tampered"),
            (None, "missing"),
        ],
        ids=["truncated", "audience", "simulated", "tampered", "missing"],
    )
    def test_refused_file_admits_nobody(self, desk, content, code):
        """Every question is answered with 403 and the reader's code, and no path of this machine is told."""
        if content is None:
            desk.path.unlink()
        else:
            desk.write(content)

        for target in ("/v1/tasks/qa/candidates", "/v1/decide?task=qa&model=a", "/v1/eligibility"):
            answer = desk.ask(target)
            assert reason(answer) == (403, code)
            assert "x-evalkit-eligibility" not in answer.headers
            assert str(desk.path).encode() not in answer.body
        assert desk.ask("/readyz").status == 503
        assert body(desk.ask("/readyz"))["error"]["code"] == code
        assert desk.ask("/healthz").status == 200

    def test_follows_the_file(self, desk):
        """A new file holds from the next look on."""
        assert desk.ask("/v1/decide?task=qa&model=b").status == 200
        only_a = a_document()["tasks"]["qa"] | {"candidates": [a_candidate("a")]}
        desk.write(a_document(tasks={"qa": only_a}))
        desk.now += 1

        assert reason(desk.ask("/v1/decide?task=qa&model=b")) == (403, "not_eligible")
        assert desk.ask("/readyz").status == 200

    def test_file_replaced_between_two_looks(self, tmp_path):
        """Candidates of one version are never shown under the digest of another, however often it is looked at."""
        desk = Desk(tmp_path / "e.json", check_every_s=0.0)
        only_b = a_document()["tasks"]["qa"] | {"pin": None, "candidates": [a_candidate("b")]}
        versions = [a_document(), a_document(tasks={"qa": only_b})]
        expected = {
            version["digest"][7:19]: [one["model"] for one in version["tasks"]["qa"]["candidates"]]
            for version in versions
        }

        class Restless(EligibilityReader):
            """Has another version behind it after every look."""

            def _follow(self, now):
                found = super()._follow(now)
                versions.reverse()
                desk.write(versions[0])
                return found

        reader = Restless(desk.path, audience="prod", check_every_s=0.0, now=lambda: NOW)
        restless = EligibilityDesk(reader, check_every_s=0.0, now=lambda: NOW)
        seen = set()
        for _ in range(9):
            answer = restless.answer(Asked(method="GET", path="/v1/tasks/qa/candidates"))
            assert answer.status == 200
            assert [one["model"] for one in body(answer)["candidates"]] == expected[body(answer)["eligibility"]]
            assert answer.headers["x-evalkit-eligibility"] == body(answer)["eligibility"]
            seen.add(body(answer)["eligibility"])
        assert seen == expected.keys()


class TestCaching:
    """No answer outlives what it rests on."""

    @pytest.mark.parametrize("target", ["/v1/tasks/qa/candidates", "/v1/decide?task=qa&model=b", "/v1/eligibility"])
    def test_not_modified(self, desk, target):
        """The same answer again is a 304, however the tag is listed."""
        first = desk.ask(target)
        tag = first.headers["etag"]

        for text in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = desk.ask(target, if_none_match=text)
            assert (again.status, again.body) == (304, b"")
            assert again.headers["etag"] == tag
        assert desk.ask(target, if_none_match='"other"').status == 200

    def test_expiry_changes_the_tag(self, desk):
        """The file is the same, the live candidates are not."""
        tag = desk.ask("/v1/tasks/qa/candidates").headers["etag"]
        desk.now += 5 * 3600
        again = desk.ask("/v1/tasks/qa/candidates", if_none_match=tag)

        assert again.status == 200
        assert again.headers["etag"] != tag

    def test_refusal_is_no_304(self, desk):
        """A client that holds an old yes is told no."""
        tag = desk.ask("/v1/decide?task=qa&model=a").headers["etag"]
        desk.now += 5 * 3600

        assert reason(desk.ask("/v1/decide?task=qa&model=a", if_none_match=tag)) == (403, "not_eligible")
        assert desk.ask("/v1/decide?task=qa&model=a", if_none_match="*").status == 403

    def test_age_ends_with_the_next_look(self, tmp_path):
        """An answer may be kept until the next look at the file."""
        desk = Desk(tmp_path / "e.json", check_every_s=30.0)

        assert desk.ask("/v1/tasks/qa/candidates").headers["cache-control"] == "max-age=30"
        assert desk.ask("/v1/eligibility").headers["cache-control"] == "max-age=30"

    @pytest.mark.parametrize(("before_expiry_s", "age"), [(40, 30), (12.9, 12), (0, 0), (-TOLERANCE_S, 0)])
    def test_age_ends_with_the_first_expiry(self, tmp_path, before_expiry_s, age):
        """And not beyond the first expiry; the tolerance between clocks is not given away."""
        desk = Desk(tmp_path / "e.json", check_every_s=30.0)
        desk.now = NOW + 4 * 3600 - before_expiry_s

        assert desk.ask("/v1/tasks/qa/candidates").headers["cache-control"] == f"max-age={age}"


class TestProtocol:
    """What is not a question."""

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get"])
    def test_only_get_and_head(self, desk, method):
        """Nothing can be changed here."""
        answer = desk.ask("/v1/decide?task=qa&model=a", method=method)

        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")

    @pytest.mark.parametrize(
        "path",
        ["/", "", "/v1", "/v1/decide/", "/v1/tasks//candidates", "/v1/tasks/candidates", "/v1/tasks/a/b/candidates"],
    )
    def test_unknown_path(self, desk, path):
        """Said in JSON, to every method."""
        for method in ("GET", "POST"):
            answer = desk.ask(path, method=method)
            assert (answer.status, body(answer)["error"]["code"]) == (404, "not_found")

    @pytest.mark.parametrize("junk", ["%", "%zz", "%ff%fe", "\x00", "qa%00", "..%2f..", "ä"])
    def test_hostile_names(self, desk, junk):
        """Bytes that make no name name nobody."""
        assert reason(desk.ask(f"/v1/decide?task={junk}&model=a")) == (403, "unknown_task")
        assert reason(desk.ask(f"/v1/tasks/{junk}/candidates")) == (403, "unknown_task")

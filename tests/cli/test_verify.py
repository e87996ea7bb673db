"""`evalkit verify`: every way a file is refused, with the router's code and exit code 1."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from evalkit.canonical import digest_of
from evalkit.router.signature import generate_keys, sign_document


def rewritten(path, **changes):
    """Change an eligibility file as somebody could who can compute its digest."""
    document = {**json.loads(path.read_bytes()), **changes}
    payload = {key: value for key, value in document.items() if key not in {"digest", "signature"}}
    document["digest"] = digest_of(payload)
    path.write_text(json.dumps(document), encoding="utf-8")
    return document


def moment(hours: float) -> str:
    """Return the timestamp so many hours from now."""
    return (datetime.now(tz=UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def ending(document, when):
    """Return the tasks with every candidate ending at one moment."""
    return {
        name: task | {"candidates": [one | {"valid_until": when} for one in task["candidates"]]}
        for name, task in document["tasks"].items()
    }


def test_accepts(evalkit, eligibility):
    """A whole file is summed up; that it is simulated is said."""
    said = evalkit("verify", eligibility, "--allow-simulated")

    assert said.code == 0
    assert "audience: test-env\n" in said.out
    assert "simulated: True\n" in said.out


def test_json(evalkit, eligibility):
    """The summary as one document."""
    document = evalkit("verify", eligibility, "--allow-simulated", "--json").document

    assert document["signature_checked"] is False
    assert 49 * 3600 < document["shortest_validity_s"] <= 50 * 3600


def test_no_candidates_is_accepted(evalkit, eligibility):
    """A file that denies everything is a file routers believe."""
    document = json.loads(eligibility.read_bytes())
    rewritten(
        eligibility, tasks={name: task | {"pin": None, "candidates": []} for name, task in document["tasks"].items()}
    )

    said = evalkit("verify", eligibility, "--allow-simulated", "--min-validity", "12h", "--json")

    assert said.code == 0
    assert said.document["shortest_validity_s"] is None


def refused(evalkit, *arguments):
    """Return the code a file is refused with, having checked the exit code and the text."""
    said = evalkit("verify", *arguments, "--json")
    assert said.code == 1
    assert said.err == f"error: {said.error['message']}\n"
    return said.error["code"]


def test_simulated(evalkit, eligibility):
    """A simulated file routes nothing real unless told so."""
    assert refused(evalkit, eligibility) == "simulated"


def test_missing(evalkit, tmp_path, a_file):
    """A file that cannot be read is refused, not a usage error: a router would deny."""
    assert refused(evalkit, tmp_path / "nosuch.json") == "missing"
    assert refused(evalkit, a_file / "below.json") == "missing"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_truncated(evalkit, tmp_path, content):
    """Half a file is no file."""
    (tmp_path / "e.json").write_bytes(content)

    assert refused(evalkit, tmp_path / "e.json") == "truncated"


def test_unknown_format(evalkit, eligibility):
    """A format of the future is not guessed at."""
    rewritten(eligibility, format="evalkit.eligibility/2")

    assert refused(evalkit, eligibility, "--allow-simulated") == "unknown_format"


def test_tampered(evalkit, eligibility):
    """One changed name is found by the digest."""
    eligibility.write_text(eligibility.read_text(encoding="utf-8").replace("alpha", "gamma"), encoding="utf-8")

    assert refused(evalkit, eligibility, "--allow-simulated") == "tampered"


@pytest.mark.parametrize("tasks", [[], {"greeting": []}, {"greeting": {"candidates": [{}]}}, {"greeting": None}])
def test_shape_of_something_else(evalkit, eligibility, tasks):
    """A digest somebody computed makes no eligibility file of another shape."""
    rewritten(eligibility, tasks=tasks)

    assert refused(evalkit, eligibility, "--allow-simulated") == "malformed"


def test_wrong_audience(evalkit, eligibility):
    """A file for another environment is refused."""
    assert refused(evalkit, eligibility, "--allow-simulated", "--audience", "prod") == "wrong_audience"


def test_from_the_future(evalkit, eligibility):
    """A clock that is ahead does not make evidence."""
    rewritten(eligibility, generated_at=moment(1))

    assert refused(evalkit, eligibility, "--allow-simulated") == "from_the_future"


def test_expired(evalkit, eligibility):
    """A candidate past its end is refused here; the reader would leave it out."""
    rewritten(eligibility, tasks=ending(json.loads(eligibility.read_bytes()), moment(-1)))

    assert refused(evalkit, eligibility, "--allow-simulated") == "expired"


def test_expires_soon(evalkit, eligibility):
    """--min-validity asks for more than now."""
    assert refused(evalkit, eligibility, "--allow-simulated", "--min-validity", "60h") == "expires_soon"
    assert evalkit("verify", eligibility, "--allow-simulated", "--min-validity", "12h").code == 0


@pytest.mark.parametrize("duration", ["", "soon", "12", "-5h", "1w", "9" * 5000 + "d"])
def test_min_validity_that_is_no_duration(evalkit, eligibility, duration):
    """A value nobody can mean is a usage error, before the file is looked at."""
    said = evalkit("verify", eligibility, "--min-validity", duration, "--json")

    assert said.code == 2
    assert said.error["kind"] == "BadParameter"


class TestKeys:
    """With a public key an unsigned or foreign file is refused."""

    @pytest.fixture(autouse=True)
    def _needs_signing(self):
        pytest.importorskip("cryptography")

    @pytest.fixture
    def keys(self):
        """The key the file is signed with."""
        return generate_keys()

    @pytest.fixture
    def signed(self, eligibility, keys):
        """A signed file."""
        document = sign_document(json.loads(eligibility.read_bytes()), private=keys.private, key_id="k1")
        eligibility.write_text(json.dumps(document), encoding="utf-8")
        return eligibility

    def test_signature_is_checked(self, evalkit, signed, keys):
        """The right key is accepted, also among others."""
        other = f"k0={generate_keys().public}"
        said = evalkit(
            "verify", signed, "--allow-simulated", "--public-key", other, "--public-key", f"k1={keys.public}", "--json"
        )

        assert said.code == 0
        assert said.document["signature_checked"] is True

    def test_unsigned(self, evalkit, eligibility, keys):
        """A key is configured and the file carries no signature."""
        assert refused(evalkit, eligibility, "--allow-simulated", "--public-key", f"k1={keys.public}") == "unsigned"

    def test_unknown_key(self, evalkit, signed, keys):
        """A signature by a key nobody configured proves nothing."""
        assert refused(evalkit, signed, "--allow-simulated", "--public-key", f"k2={keys.public}") == "unknown_key"

    def test_bad_signature(self, evalkit, signed):
        """Another key under the right name is found out."""
        key = f"k1={generate_keys().public}"

        assert refused(evalkit, signed, "--allow-simulated", "--public-key", key) == "bad_signature"

    @pytest.mark.parametrize("pair", ["k1", "k1=", "=AAAA", "k1=sk-9f3a", "k1=c2stOWYzYQ=="])
    def test_malformed_key_is_a_usage_error(self, evalkit, signed, pair):
        """A mistyped key is not reported as a forged file, and is not repeated."""
        said = evalkit("verify", signed, "--allow-simulated", "--public-key", pair, "--json")

        assert said.code == 2
        assert "sk-9f3a" not in said.out + said.err


def test_hostile_file_is_neutralised(evalkit, eligibility):
    """Names in a file from nobody knows where bring no control character to the terminal."""
    document = json.loads(eligibility.read_bytes())
    tasks = {f"x\x1b[31m\n{name}": task for name, task in ending(document, moment(-1)).items()}
    rewritten(eligibility, audience="a\x1b[2J\u202e\nerror: all fine", tasks=tasks)

    for arguments in ([], ["--allow-simulated"], ["--audience", "b"]):
        said = evalkit("verify", eligibility, *arguments)
        assert said.code == 1
        assert len(said.err.splitlines()) == 1
        assert not {"\x1b", "\u202e"} & set(said.out + said.err)

"""Is a file to be believed? Whatever is wrong with it, the answer is RefusedError and its code."""

from __future__ import annotations

import json

import pytest

from evalkit.canonical import canonical_json
from evalkit.errors import RefusedError
from evalkit.router.document import MAX_BYTES, Expectations, check_document, seconds_of_timestamp

HOUR_S = 3600.0


@pytest.fixture
def code_of(generated_at):
    """The code some bytes are refused with; None when they are accepted."""

    def refused(data, *, audience="prod", now=generated_at + HOUR_S, **fields):
        newest = fields.pop("newest_accepted", 0.0)
        try:
            check_document(data, expect=Expectations(audience=audience, **fields), now=now, newest_accepted=newest)
        except RefusedError as error:
            return error.code
        return None

    return refused


def test_a_sound_file_is_returned(document, data_of, generated_at):
    """As it was written, whatever the order of its keys and the space between them."""
    expect = Expectations(audience="prod")
    assert check_document(data_of(document), expect=expect, now=generated_at) == document
    loose = json.dumps(dict(reversed(document.items())), indent=3).encode()
    assert check_document(loose, expect=expect, now=generated_at) == document


def test_every_cut_is_refused(document, data_of, code_of):
    """However much of the file has arrived, part of it is not the file."""
    data = data_of(document).rstrip()
    for length in range(0, len(data), 17):
        assert code_of(data[:length]) == "truncated"
    assert code_of(data[:-1]) == "truncated"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"evalkit"',
        b"{}",
        b'{"format": "evalkit.eligibility/2"}',
        b'{"format": ["evalkit.eligibility/1"]}',
        b"\xff\xfe\xfa",
        b"\x00" * 64,
        b"NaN",
        b'{"format": "evalkit.eligibility/1"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        b"1e999",
    ],
)
def test_what_is_no_document_is_refused(data, code_of):
    """Rubbish has one of two codes."""
    assert code_of(data) in {"truncated", "unknown_format"}


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e999", b"9" * 400, b"9007199254740993"])
def test_numbers_json_cannot_carry_are_refused(number, document, code_of):
    """A number that cannot be written back has no digest of its own."""
    data = canonical_json(document).replace(b'"context_tokens":1000', b'"context_tokens":' + number)
    assert code_of(data) == "tampered"


def test_large_whole_doubles_survive(document, data_of, code_of):
    """A double beyond 2**53 is written without a point and read back as the same double."""
    document["models"]["a"]["context_tokens"] = 1e16
    assert b"10000000000000000" in data_of(document)
    assert code_of(data_of(document)) is None


def test_a_lone_surrogate_is_refused(document, code_of):
    """Text that is no Unicode has no canonical form."""
    assert code_of(canonical_json(document).replace(b'"openai"', b'"\\ud800"')) == "tampered"


def test_a_key_given_twice_is_refused(document, code_of):
    """Which of the two counts depends on the reader: so neither does."""
    data = canonical_json(document).replace(b'"simulated":false', b'"simulated":true,"simulated":false')
    assert code_of(data) == "truncated"


def test_a_huge_file_is_refused(code_of):
    """Before it is parsed."""
    assert code_of(b" " * (MAX_BYTES + 1)) == "truncated"


@pytest.mark.parametrize("key", ["audience", "generated_at", "default", "simulated", "models", "tasks", "digest"])
def test_every_part_is_needed(key, document, code_of):
    """A missing part is a file that is not whole."""
    del document[key]
    assert code_of(canonical_json(document)) == "truncated"


def test_a_changed_value_is_tampering(document, code_of):
    """The digest covers everything but itself and the signature."""
    document["tasks"]["qa"]["candidates"][0]["model"] = "b"
    assert code_of(canonical_json(document)) == "tampered"


@pytest.mark.parametrize("digest", [None, 7, "", "sha256:" + "0" * 64, ["sha256"]])
def test_a_wrong_digest_is_tampering(digest, document, code_of):
    """Whatever stands there instead."""
    document["digest"] = digest
    assert code_of(canonical_json(document)) == "tampered"


def _put(path, value):
    """Return a change of the document that puts a value somewhere."""

    def change(document):
        node = document
        for step in path[:-1]:
            node = node[step]
        if value is ...:
            del node[path[-1]]
        else:
            node[path[-1]] = value

    return change


_QA = ("tasks", "qa")
_FIRST = (*_QA, "candidates", 0)
_WRONG = [None, 7, 1.5, True, "x", [], {}, ["x"], {"x": "y"}]
_PLACES = {
    ("audience",): (str,),
    ("generated_at",): (),
    ("default",): (),
    ("simulated",): (bool,),
    ("models",): (),
    ("tasks",): (),
    ("models", "a"): (),
    ("models", "a", "route"): (str,),
    _QA: (),
    (*_QA, "on_expiry"): (str,),
    (*_QA, "candidates"): (),
    _FIRST: (),
    (*_FIRST, "model"): (),
    (*_FIRST, "valid_until"): (),
    (*_FIRST, "admitted_by"): (str,),
    (*_FIRST, "request"): (dict,),
}


@pytest.mark.parametrize("path", list(_PLACES), ids=lambda path: "/".join(map(str, path)))
@pytest.mark.parametrize("value", [*_WRONG, ...], ids=repr)
def test_a_wrong_type_is_refused(path, value, document, data_of, code_of):
    """Even under a right digest: whoever made it, what a router acts on has to have its shape."""
    _put(path, value)(document)
    code = code_of(data_of(document))
    if type(value) in _PLACES[path]:
        assert code in {None, "wrong_audience", "simulated"}
    elif (path == ("tasks",) and value == {}) or (path == _QA and value is ...):
        assert code is None  # a file without a task denies, and is whole
    elif path == (*_QA, "candidates") and value == []:
        assert code == "malformed"
    else:
        assert code in {"malformed", "truncated"}


def test_only_deny_is_a_default(document, data_of, code_of):
    """A file that lets in by default is none of ours."""
    document["default"] = "allow"
    assert code_of(data_of(document)) == "malformed"


@pytest.mark.parametrize("pin", ["b", "gone", 7, ["a"]])
def test_a_pin_is_the_first_candidate(pin, document, data_of, code_of):
    """Or there is none."""
    document["tasks"]["qa"]["pin"] = pin
    assert code_of(data_of(document)) == "malformed"


@pytest.mark.parametrize("change", [_put((*_QA, "pin"), None), _put((*_QA, "pin"), ...)])
def test_a_task_needs_no_pin(change, document, data_of, code_of):
    """Null or absent."""
    change(document)
    assert code_of(data_of(document)) is None


def test_a_model_is_offered_once(document, data_of, code_of):
    """Two entries of one model could disagree."""
    offered = document["tasks"]["qa"]["candidates"]
    offered.append(offered[1])
    assert code_of(data_of(document)) == "malformed"


def test_another_audience_is_refused(document, data_of, code_of):
    """A file of another environment, however sound."""
    assert code_of(data_of(document), audience="staging") == "wrong_audience"


def test_simulated_evidence_is_refused_unless_told(document, data_of, code_of):
    """The simulator routes no real traffic."""
    document["simulated"] = True
    assert code_of(data_of(document)) == "simulated"
    assert code_of(data_of(document), allow_simulated=True) is None


@pytest.mark.parametrize(("ahead_s", "code"), [(300, None), (301, "from_the_future")])
def test_a_file_from_the_future_is_refused(ahead_s, code, document, data_of, code_of, generated_at):
    """Five minutes is as far as two clocks may be apart."""
    assert code_of(data_of(document), now=generated_at - ahead_s) == code


@pytest.mark.parametrize(("newest", "code"), [(0.0, None), (1.0, "rolled_back")])
def test_an_older_file_is_refused(newest, code, document, data_of, code_of, generated_at):
    """Than the newest that was accepted; the same one is fine."""
    assert code_of(data_of(document), newest_accepted=generated_at + newest) == code


@pytest.mark.parametrize(
    ("text", "seconds"), [("1970-01-01T00:00:00Z", 0.0), ("2028-02-29T23:59:59Z", 1_835_481_599.0)]
)
def test_timestamps(text, seconds):
    """RFC 3339, UTC, whole seconds."""
    assert seconds_of_timestamp(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        [],
        "",
        "2027-01-15",
        "2027-1-5T8:0:0Z",
        "2027-01-15t08:00:00z",
        "2027-01-15T08:00:00+00:00",
        "2027-01-15T08:00:00.5Z",
        "2027-01-15T08:00:60Z",
        "2027-02-30T08:00:00Z",
        "2027-13-15T08:00:00Z",
        "0000-01-15T08:00:00Z",
        "2027-01-15T08:00:00Z\n",
        "\u0662027-01-15T08:00:00Z",
    ],
)
def test_anything_else_is_no_timestamp(text):
    """Also what a lenient parser would take."""
    with pytest.raises(RefusedError, match="not a timestamp") as caught:
        seconds_of_timestamp(text)
    assert caught.value.code == "malformed"

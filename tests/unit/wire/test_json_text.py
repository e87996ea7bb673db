"""Text → JSON: the same answers score 0 or 96 by the reader alone, so the level that was needed is the result."""

from __future__ import annotations

import gzip
import json
import os
import re
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.wire.json_text import MAX_DEPTH, load_json, parse_json_text, strict_json

DATA = (
    Path(os.environ.get("EVALKIT_DATA") or Path(__file__).parents[4] / "shared" / "data") / "outputs" / "zeroeval_gsm"
)
LEVELS = ("strict", "fence", "lenient")


def has_answer(value):
    """Accept what the prompts of the data set ask for."""
    return isinstance(value, dict) and "answer" in value


STRICT = ['{"answer": 1}', " [1, 2]\n", "42", '"x"', "null", "true", '{"a": "\\u00e9"}']


@pytest.mark.parametrize("text", STRICT)
def test_whole_json_is_strict(text):
    """Text that is JSON as it stands needs no repair and has no problem."""
    found = parse_json_text(text)
    assert (found.value, found.level, found.repairs, found.problem) == (json.loads(text), "strict", (), "")
    assert strict_json(text) == found


FENCED = [
    '```json\n{"a": 1}\n```',
    '```\n{"a": 1}\n```',
    '``` json\n{"a": 1}\n```',
    '\n```JSON title="x"\n{"a": 1}```\n',
]


@pytest.mark.parametrize("text", FENCED)
def test_one_whole_fence(text):
    """A fence around everything is forgiven at the level `fence`, with any header; strict says no."""
    found = parse_json_text(text)
    assert (found.value, found.level, found.repairs) == ({"a": 1}, "fence", ("fence",))
    assert strict_json(text).level is None
    assert found.problem


LENIENT = [
    ('Sure!\n```json\n{"a": 1}\n```', "fenced_block"),
    ('```json\n{"a": 0}\n```\nor rather\n```json\n{"a": 1}\n```', "fenced_block"),
    ('```json\n{"a": 1}', "fenced_block"),
    ('```{"a": 1}```', "fenced_block"),
    ('The answer is {"a": 1}', "preamble"),
    ('{"a": 1} as asked.', "postamble"),
    ('{"a": 1,}', "trailing_comma"),
    ('{"a": 1}</s></s>', "stop_token"),
    ('{"a": 1}<|im_end|>', "stop_token"),
    ('\ufeff{"a": 1}', "byte_order_mark"),
    ("{“a”: 1}", "smart_quotes"),
]


@pytest.mark.parametrize(("text", "repair"), LENIENT)
def test_lenient_repairs_are_named(text, repair):
    """What had to be forgiven stands beside the value."""
    found = parse_json_text(text)
    assert (found.value, found.level) == ({"a": 1}, "lenient")
    assert repair in found.repairs


def test_raw_line_breaks_and_lone_backslashes():
    """The two daily faults inside strings are repaired without touching valid escapes."""
    found = parse_json_text('{"a": "x\ny"}')
    assert (found.value, found.repairs) == ({"a": "x\ny"}, ("control_characters",))
    found = parse_json_text(r'{"a": "\(x\) \n \u00e9 \\d"}')
    assert found.value == {"a": "\\(x\\) \n é \\d"}
    assert "lone_backslash" in found.repairs


def test_commas_inside_strings_are_left_alone():
    """A trailing comma is one outside strings."""
    assert parse_json_text('{"a": "x,}", "b": [1,],}').value == {"a": "x,}", "b": [1]}


def test_the_search_goes_on_until_a_value_is_accepted():
    """Another object in the text does not hide the one that was asked for."""
    text = 'Given ```{"x": 1}``` I say ```{"answer": 2}``` and ```{"y": 3}```'
    assert parse_json_text(text, accept=has_answer).value == {"answer": 2}
    assert parse_json_text('{"x": 1}', accept=has_answer).level is None


def test_the_last_resort():
    """With a wanted value and no JSON at all, what follows the last `"answer":` on its line is taken."""
    text = '{"reasoning": unquoted, "answer": "504",\n}'
    found = parse_json_text(text, accept=has_answer)
    assert (found.value, found.level, found.repairs) == ({"answer": "504"}, "lenient", ("text_after_answer",))
    assert parse_json_text(text).level is None


@pytest.mark.parametrize("text", ["", " ", "No.", "{", "}{", "```", "``````", "{'a': 1}", '{"a": }'])
def test_no_json(text):
    """Prose and broken JSON have no level and a stated problem."""
    found = parse_json_text(text)
    assert (found.level, found.value) == (None, None)
    assert found.problem


def test_oddities_of_valid_json_are_noted():
    """Duplicate keys and integers beyond exact numbers are JSON, with a note."""
    assert strict_json('{"a": 1, "a": 2}').repairs == ("duplicate_keys",)
    assert strict_json('{"a": 123456789012345678901}').repairs == ("big_integer",)


def test_nan_is_not_json():
    """NaN and infinities fail strictly and become null leniently: no score may ever be NaN."""
    for name in ("NaN", "Infinity", "-Infinity"):
        found = parse_json_text(f'{{"a": {name}}}')
        assert (found.value, found.level, found.repairs) == ({"a": None}, "lenient", ("not_a_number",))
        with pytest.raises(ValueError, match="not JSON"):
            load_json(name)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * 1000 + "]" * 1000,
        '{"a":' * 50_000 + "1" + "}" * 50_000,
        '{"a": ' + "9" * 5000 + "}",
        '{"a": 1e999}',
        '\\"' * 100_000 + "{}}",
        '"' * 200_001 + "{,}",
        "```" * 100_000,
        "{" + "," * 200_000 + "}",
        "\\" * 200_001,
    ],
    ids=["open", "deep", "deep-object", "digits", "overflow", "escapes", "quotes", "fences", "commas", "backslashes"],
)
def test_hostile_text_is_bounded(text):
    """Nesting, huge numbers and text made to stall a parser end in a result, soon."""
    began = time.perf_counter()
    assert parse_json_text(text).level in {None, "lenient"}
    assert time.perf_counter() - began < 5


def test_depth_limit():
    """The deepest allowed value passes, one level more does not."""
    assert strict_json("[" * MAX_DEPTH + "]" * MAX_DEPTH).level == "strict"
    assert strict_json("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)).level is None
    with pytest.raises(ValueError, match="deeper"):
        load_json("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_json_round_trips_at_its_level(value):
    """What json.dumps writes is strict; fenced it is `fence`; both give the value back."""
    text = json.dumps(value)
    assert strict_json(text).value == value
    fenced = parse_json_text(f"```json\n{text}\n```")
    assert (fenced.level, fenced.value) == ("fence", value)


@given(st.text(alphabet='{}[]",:\\`nu0129.eE-+ \n\t“”</s>aAjsonwer', max_size=200))
def test_any_text_gives_a_result(text):
    """No text raises, and a level is claimed exactly when a value was found."""
    found = parse_json_text(text, accept=lambda value: isinstance(value, (dict, list)))
    assert (found.level is None) == (found.value is None)
    assert (found.level == "strict") == (found.problem == "")


@pytest.mark.data
def test_zeroeval_levels():
    """Parsed and right answers of ten models at three levels are those of the data set."""
    if not DATA.is_dir():
        pytest.skip(f"recorded data not found at {DATA}")
    expected = json.loads((DATA / "expected.json").read_text())["models"]
    gold = {}
    for line in (DATA / "cases.jsonl").read_text().splitlines():
        case = json.loads(line)
        gold[case["case_id"]] = float(str(case["expected"]).replace(",", ""))
    for model, levels in expected.items():
        counted = {level: {"parsed": 0, "answered": 0, "correct": 0} for level in LEVELS}
        with gzip.open(DATA / "responses" / f"{model}.jsonl.gz") as lines:
            for line in lines:
                count_row(json.loads(line), gold, counted)
        wanted = {level: {key: levels[level][key] for key in counted[level]} for level in LEVELS}
        assert counted == wanted, model


def count_row(row, gold, counted):
    """Add one recorded answer to the counts of every level it parses at."""
    found = parse_json_text(row["output"] or "", accept=has_answer)
    if found.level is None:
        return
    number = re.search(r"-?\d+(?:\.\d+)?", re.sub(r"[,$]", "", str(found.value["answer"])))
    for level in LEVELS[LEVELS.index(found.level) :]:
        counted[level]["parsed"] += 1
        counted[level]["answered"] += number is not None
        counted[level]["correct"] += number is not None and float(number[0]) == gold[row["case_id"]]


@pytest.mark.parametrize("piece", ["[],", "{},", '{"":0},', "0,", '"a",'])
def test_a_crowd_of_values_is_not_unfolded(piece):
    """Three bytes may take a hundred as a value: beyond half a million of them it is no answer, and takes no memory."""
    text = "[" + piece * 600_000 + "0]"
    tracemalloc.start()
    with pytest.raises(ValueError, match="values"):
        load_json(text)
    found = strict_json(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.level is None
    assert peak < len(text)


def test_a_long_answer_is_no_crowd():
    """A table of a hundred thousand cells is read."""
    assert len(load_json("[" + "0," * 100_000 + "0]")) == 100_001

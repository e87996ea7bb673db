"""A shard carries any value, and nothing in it can end the string, the script or the page."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.reporters._shards import CasePacker, shard_file

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_a_value_comes_back(unpacked, value):
    """What a page reads is what was written."""
    path, content = shard_file("summary", value)
    assert path == "shards/summary.js"
    assert unpacked(content) == value


@pytest.mark.parametrize("text", ["</script>", '")', "\u2028\u2029", "\\", "\ud800", "<!--", "\x00", "'\n\r"])
def test_hostile_text_cannot_leave_its_string(unpacked, text):
    """Two strings of harmless letters in one call, whatever is in the value."""
    _, content = shard_file("a.rows", {"text": text})
    assert re.fullmatch(rb'evalkitShard\("a\.rows","[A-Za-z0-9+/=]*"\)\n', content)
    assert unpacked(content) == {"text": text}


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", 'a"', "x" * 121])
def test_a_name_is_a_file_name(name):
    """The page refuses any other, so it is not written."""
    with pytest.raises(ValueError, match="no name of a shard"):
        shard_file(name, None)


def test_what_is_no_number_in_json_is_refused():
    """A page would not read it."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        shard_file("summary", float("nan"))


def test_cases_fill_shards_of_about_a_megabyte(unpacked):
    """One look at a case loads one of them, and the first case of each is known."""
    packer = CasePacker("qa.cases")
    cases = [{"case": number, "text": "x" * 40_000} for number in range(60)]
    files = [file for case in cases for file in packer.add(case)] + [*packer.finish()]
    assert [path for path, _ in files] == [f"shards/qa.cases-{index}.js" for index in range(3)]
    assert packer.starts == [0, 25, 50]
    assert [case for _, content in files for case in unpacked(content)] == cases


def test_no_case_is_no_shard():
    """A suite without an answer writes nothing."""
    packer = CasePacker("qa.cases")
    assert [*packer.finish()] == []
    assert packer.starts == []

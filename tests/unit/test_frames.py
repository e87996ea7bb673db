"""Tables keep every digit and every empty field."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.frames import csv_from_rows, parquet_from_rows


def read(content: bytes) -> list[dict[str, str]]:
    """Read CSV as a stranger would."""
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline="")))


def test_columns_and_rows_keep_their_order():
    """The header is as given, and a missing key is an empty field."""
    content = csv_from_rows([{"b": 2, "a": "x"}, {"a": "y", "b": None}], columns=["a", "b"])
    assert content == b"a,b\nx,2\ny,\n"


def test_an_empty_table_has_its_header():
    """No rows is a table, not an empty file."""
    assert csv_from_rows([], columns=["a", "b"]) == b"a,b\n"


def test_an_unknown_key_is_refused():
    """A value is never dropped because no column was declared for it."""
    with pytest.raises(ValueError, match="no column for 'c'; the columns are a, b"):
        csv_from_rows([{"c": 1}], columns=["a", "b"])


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=10))
def test_numbers_read_back_as_the_same_number(values):
    """Not a digit is lost, and whole numbers beside empty fields do not change."""
    rows = read(csv_from_rows([{"k": "k", "v": value} for value in values], columns=["k", "v"]))
    assert [None if row["v"] == "" else float(row["v"]) for row in rows] == values


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40))
def test_text_reads_back_as_the_same_text(text):
    """Quotes, commas and line breaks survive."""
    assert read(csv_from_rows([{"a": text + '",\n'}], columns=["a"])) == [{"a": text + '",\n'}]


def test_whole_numbers_stay_whole_beside_a_missing_one():
    """An integer column with a gap is not turned into decimals."""
    assert csv_from_rows([{"n": 3}, {"n": None}], columns=["n"]) == b'n\n3\n""\n'


def test_half_a_surrogate_pair_is_written_as_an_escape():
    """Text that UTF-8 cannot carry does not stop the table."""
    assert csv_from_rows([{"a": "x\ud800"}], columns=["a"]) == b"a\nx\\ud800\n"


def test_parquet_columns_have_the_types_they_are_declared_with():
    """Also without a row, so that the tables of many nights are one."""
    pq = pytest.importorskip("pyarrow.parquet", reason="the extra [parquet] is not installed")
    columns = {"model": "text", "n": "count", "value": "number", "critical": "flag"}
    for rows in ([], [{"model": "a", "n": 3, "value": 0.1, "critical": True}, {"model": None, "value": 1}]):
        table = pq.read_table(io.BytesIO(parquet_from_rows(rows, columns=columns)))
        assert [str(field.type) for field in table.schema] == ["string", "int64", "double", "bool"] or [
            str(field.type) for field in table.schema
        ] == ["large_string", "int64", "double", "bool"]
        assert table.num_rows == len(rows)
    assert table.to_pylist()[1] == {"model": None, "n": None, "value": 1.0, "critical": None}


def test_parquet_refuses_an_unknown_key():
    """As for CSV."""
    with pytest.raises(ValueError, match="no column for 'c'"):
        parquet_from_rows([{"c": 1}], columns={"a": "text"})

"""CSV and JSON hold every number, and nothing a spreadsheet or terminal would run."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.verdict import Reason, ReasonCode, Status, Verdict
from evalkit.errors import InputError
from evalkit.plugins import load_plugin
from evalkit.reporters._document import FORMAT
from evalkit.reporters.table import _defused_text, build_csv, build_json, build_parquet


def rows_of(content: bytes) -> list[dict[str, str]]:
    """Read CSV as a stranger would."""
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline="")))


@pytest.mark.parametrize("name", ["cells.csv", "verdicts.csv", "gates.csv", "comparisons.csv", "overhead.csv"])
def test_csv_golden(made, check_golden, name):
    """The tables are as reviewed."""
    check_golden(name, dict(build_csv().render(made.small(), None))[name])


def test_json_golden(made, check_golden):
    """The document is as reviewed."""
    check_golden("report.json", dict(build_json().render(made.small(), None))["report.json"])


def test_entry_points_find_both():
    """The command line finds them as it finds any plugin."""
    assert type(load_plugin("reporters", "csv")()) is type(build_csv())
    assert type(load_plugin("reporters", "json")()) is type(build_json())


def test_cells_read_back_as_the_same_numbers(made):
    """A table is as good as the report for anybody who computes with it."""
    report = made.small()
    rows = rows_of(dict(build_csv().render(report, None))["cells.csv"])
    assert [float(row["value"]) for row in rows] == [cell.estimate.value for cell in report.cells]
    assert [int(row["n_clusters"]) for row in rows] == [cell.estimate.n_clusters for cell in report.cells]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\uff1d1"])
def test_formulas_are_defused(text):
    """What a spreadsheet would run begins with a quote."""
    assert _defused_text(text).startswith("'")


@given(st.text(max_size=50))
def test_no_text_field_begins_like_a_formula(text):
    """Whatever a model wrote, no cell begins with a formula character."""
    assert not _defused_text(text).lstrip().startswith(("=", "+", "-", "@"))


def test_negative_numbers_are_numbers(made):
    """A worse difference is not turned into text."""
    rows = rows_of(dict(build_csv().render(made.small(), None))["comparisons.csv"])
    assert float(rows[0]["difference"]) == -0.062


@pytest.mark.parametrize("build", [build_csv, build_json])
def test_simulated_is_labelled_in_every_file(made, build):
    """A copied file still says that nothing real was measured."""
    report = made.small(is_simulated=True)
    for name, content in build().render(report, None):
        if name == "report.json":
            assert json.loads(content)["simulated"] is True
        else:
            assert {row["simulated"] for row in rows_of(content)} == {"SIMULATED"}


def test_the_same_report_gives_the_same_bytes(made):
    """Nothing depends on the hour or the order of a dictionary."""
    for build in (build_csv, build_json):
        assert list(build().render(made.small(), None)) == list(build().render(made.small(), None))


def test_json_is_ascii_sorted_and_finite(made):
    """An unknown cost ranks at infinity; JSON has no such number, and hostile text is escaped."""
    verdict = Verdict(
        task="t", model_id="m", status=Status.UNDECIDED, rank_key=(math.inf, 1.0),
        reasons=(Reason(code=ReasonCode.COST_UNKNOWN, detail=made.HOSTILE),),
    )  # fmt: skip
    content = dict(build_json().render(replace(made.small(), verdicts=(verdict,)), None))["report.json"]
    document = json.loads(content)
    assert content.isascii()
    assert document["verdicts"][0]["rank_key"] == [None, 1.0]
    assert document["verdicts"][0]["reasons"][0]["detail"] == made.HOSTILE
    assert document["format"] == FORMAT
    assert list(document) == sorted(document)


def test_json_names_suites_without_their_cases(made):
    """Prompts and expected answers stay where they are; the digest says which they were."""
    report = made.small()
    document = json.loads(dict(build_json().render(report, None))["report.json"])
    assert document["suites"][0]["digest"] == report.suites[0].digest
    assert "cases" not in document["suites"][0]
    assert document["suites"][0]["n_cases"] == 200


def test_parquet_holds_the_same_tables_as_csv(made):
    """One row for each line, one column for each head, numbers as numbers."""
    pq = pytest.importorskip("pyarrow.parquet", reason="the extra [parquet] is not installed")
    report, _ = made.sample(is_simulated=True)
    lines = dict(build_csv().render(report, None))
    for name, content in build_parquet().render(report, None):
        table = pq.read_table(io.BytesIO(content))
        rows = [*csv.DictReader(io.StringIO(lines[name.replace(".parquet", ".csv")].decode()))]
        assert table.num_rows == len(rows)
        assert table.column_names == [*(rows[0] if rows else table.column_names)]
        assert "SIMULATED" in {row["simulated"] for row in table.to_pylist()}


def test_parquet_without_pyarrow_says_what_to_install(made, monkeypatch):
    """An extra that is not there is the user's to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="needs pyarrow"):
        dict(build_parquet().render(made.small(), None))

"""Cases: JSON Lines, CSV and inline, and the line of whatever is wrong."""

from __future__ import annotations

import pytest

from evalkit.domain.suite import ScorerSpec
from evalkit.errors import InputError
from evalkit.loading.cases import load_cases
from evalkit.loading.files import ProjectFiles
from evalkit.loading.problems import MAX_SHOWN, ProjectErrors
from evalkit.loading.source import node_at, parse_yaml


@pytest.fixture
def load(tmp_path):
    """Return the cases of a file with this name and text."""

    def loaded(name: str, text: str | bytes):
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(data)
        node, _ = node_at(parse_yaml(f"cases: {name}", file="suite.yaml"), "cases")
        return load_cases(node, ProjectFiles(tmp_path))

    return loaded


@pytest.fixture
def refused(load):
    """Return the errors a file is refused with."""

    def errors(name: str, text: str | bytes):
        with pytest.raises(InputError) as caught:
            load(name, text)
        return caught.value.errors if isinstance(caught.value, ProjectErrors) else (caught.value,)

    return errors


def test_blank_lines_are_skipped_and_counted(load):
    """The line told is the file's own."""
    table = load("c.jsonl", '\n{"id": "a"}\n   \n{"id": "b"}\n\n')
    assert [case.id for case in table.cases] == ["a", "b"]
    assert table.lines == (2, 4)


def test_a_byte_order_mark_and_windows_line_ends_are_fine(load):
    """Files come from everywhere."""
    table = load("c.jsonl", b'\xef\xbb\xbf{"id": "a"}\r\n{"id": "b"}\r\n')
    assert [case.id for case in table.cases] == ["a", "b"]


def test_other_line_separators_do_not_end_a_line(load):
    """JSON text may hold them unescaped."""
    table = load("c.jsonl", '{"id": "a", "expected": "x\u2028y\x85z"}\n')
    assert table.cases[0].expected == "x\u2028y\x85z"


def test_every_broken_line_is_told(refused):
    """Lines that are no JSON are all named."""
    errors = refused("c.jsonl", '{"id": "a"}\n{\n{"id": "b"}\n]\n')
    assert [error.place.line for error in errors] == [2, 4]


def test_many_problems_are_cut_and_counted(refused):
    """A file of the wrong kind does not flood the screen."""
    errors = refused("c.jsonl", '{"idd": "a"}\n' * 50)
    assert len(errors) == MAX_SHOWN + 1
    assert "80 more problems" in str(errors[-1])


def test_a_line_that_is_no_object_is_told(refused):
    """A case is an object."""
    (error,) = refused("c.jsonl", '{"id": "a"}\n[1]\n')
    assert error.place.line == 2


def test_a_file_without_cases_is_refused(refused):
    """A suite measures something."""
    assert "there is no case" in str(refused("c.jsonl", "\n\n")[0])


def test_case_scorers_take_short_forms(load):
    """A case's scorers are written as a suite's are."""
    (case,) = load("c.jsonl", '{"id": "a", "scorers": ["exact", {"number": {"as": "n", "abs_tol": 1}}]}').cases
    assert case.scorers == (
        ScorerSpec(name="exact"),
        ScorerSpec.model_validate({"name": "number", "as": "n", "params": {"abs_tol": 1}}),
    )


def test_odd_case_scorers_are_refused_at_their_line(refused):
    """Parameters are a mapping."""
    (error,) = refused("c.jsonl", '{"id": "a"}\n{"id": "b", "scorers": ["exact", {"number": 3}]}')
    assert (error.place.line, error.place.pointer) == (2, "/scorers/1")


def test_inline_cases_point_into_the_suite(tmp_path):
    """The pointer of an inline case begins at the suite's top."""
    node, _ = node_at(parse_yaml("cases:\n  - {id: a}\n  - {id: b,\n     idd: c}\n", file="suite.yaml"), "cases")
    with pytest.raises(ProjectErrors) as caught:
        load_cases(node, ProjectFiles(tmp_path))
    (error,) = caught.value.errors
    assert (error.place.file, error.place.line, error.place.pointer) == ("suite.yaml", 3, "/cases/1/idd")


CSV = 'id,question,expected,expect,cluster,tags,lang\na,"Why,\nso?",Because,,k1,x; y,en\n\nb,How?,,refusal,,,\n'


def test_csv_columns_become_the_case(load):
    """Own columns fill the case, all others are variables, and an empty own cell says nothing."""
    first, second = load("c.csv", CSV).cases
    assert (first.vars, first.expected) == ({"question": "Why,\nso?", "lang": "en"}, "Because")
    assert (first.expect, first.cluster, first.tags) == ("answer", "k1", ("x", "y"))
    assert (second.vars, second.expected) == ({"question": "How?", "lang": ""}, None)
    assert (second.expect, second.cluster, second.tags) == ("refusal", None, ())


def test_csv_lines_are_where_a_record_begins(load):
    """A cell with a line break moves what follows."""
    assert load("c.csv", CSV).lines == (2, 5)


def test_csv_text_stays_text(load):
    """Nobody guesses that 007 is a number."""
    (case,) = load("c.csv", b"\xef\xbb\xbfid,code,expected\r\na,007,1e3\r\n").cases
    assert (case.vars, case.expected) == ({"code": "007"}, "1e3")


@pytest.mark.parametrize(
    ("text", "line", "fragment"),
    [
        ("id,x\na,1\nb\n", 3, "1 cells under 2 columns"),
        ("id,x\na,1,2\n", 2, "3 cells under 2 columns"),
        ("name,x\na,1\n", 1, "no column 'id'"),
        ("id,x,x\na,1,2\n", 1, "['x']"),
        ("id,,x\na,1,2\n", 1, "have no name"),
        ('id,x\na,"b"c\n', 2, "not valid CSV"),
        ('id,x\na,"b\n', 2, "not valid CSV"),
        ("id,x\n,1\n", 2, "'id' is missing"),
        ("id,expect\na,shrug\n", 2, "'shrug'"),
        ("id,x\n", None, "no case"),
        ("", None, "no case"),
    ],
)
def test_wrong_csv_is_told_with_its_line(refused, text, line, fragment):
    """Each refusal names the record."""
    (error,) = refused("c.csv", text)
    assert fragment in str(error)
    assert line is None or error.place.line == line

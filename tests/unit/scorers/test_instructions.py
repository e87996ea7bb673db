"""`instructions`: strict and loose, shares and wholes, and how far recorded verdicts agree."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from evalkit.domain.score import Unscored
from evalkit.errors import InputError
from evalkit.scorers.instruction_checks import CHECKS
from evalkit.scorers.instructions import Instruction, follows_loosely, follows_strictly, variants

NO_COMMA = {"id": "punctuation:no_comma"}
TITLE = {"id": "detectable_format:title", "kwargs": {}}


def values(grade, answer, *instructions):
    """Return the four values."""
    return [entry.value for entry in grade("instructions", answer, expected=list(instructions)).values()]


def test_four_metrics(grade):
    """Shares are over the instructions of the case, wholes over the case."""
    assert values(grade, "<<Home>>\nNo mark here", NO_COMMA, TITLE) == [1, 1, 1, 1]
    assert values(grade, "No mark here", NO_COMMA, TITLE) == [0.5, 0.5, 0, 0]
    assert values(grade, "Sure, here it is:\n<<Home>>", NO_COMMA, TITLE) == [0.5, 1, 0, 1]


def test_what_was_ignored_is_said(grade):
    """Each instruction that was not followed is a finding, and in the rationale."""
    entry = grade("instructions", "a, b", expected=[NO_COMMA, TITLE])["instructions_strict"]
    assert entry.findings == ("ignored:punctuation:no_comma", "ignored:detectable_format:title")
    assert entry.rationale == "not followed: punctuation:no_comma, detectable_format:title"


def test_a_blank_answer_follows_nothing(grade):
    """Silence has no comma, and yet follows no instruction."""
    assert values(grade, " \n ", NO_COMMA) == [0, 0, 0, 0]


def test_variants_drop_first_line_last_line_and_asterisks():
    """All eight, each once."""
    assert set(variants("a\n*b*\nc")) == {"a\n*b*\nc", "a\nb\nc", "*b*\nc", "b\nc", "a\n*b*", "a\nb", "*b*", "b"}
    assert variants("a") == ("a", "")


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        (None, "no list"),
        ([], "no list"),
        ([{"id": "punctuation:no_colon"}], "unknown; did you mean 'punctuation:no_comma'"),
        ([{"id": "x"}], "unknown"),
        ([{"id": "length_constraints:number_words", "kwargs": {"num_words": 3}}], "takes relation, num_words"),
        ([{"id": "length_constraints:number_words", "kwargs": {"num_words": 3, "relation": "over"}}], "no relation"),
        ([{"id": "keywords:existence", "kwargs": {"keywords": []}}], "no texts"),
        ([{"id": "language:response_language", "kwargs": {"language": "tlh"}}], "no language"),
        ([{"id": "punctuation:no_comma", "kwargs": {"n": 1}}], "takes no arguments"),
    ],
)
def test_cases_are_checked_before_anything_is_spent(grade, expected, problem):
    """An unknown instruction, or one without its arguments, is refused."""
    with pytest.raises(InputError, match=problem):
        grade("instructions", "x", expected=expected)


def test_endless_answers_are_not_scored(grade):
    """Beyond half a million characters nothing is said."""
    entries = grade("instructions", "x " * 300_000, expected=[NO_COMMA])
    assert all(isinstance(entry, Unscored) for entry in entries.values())


MISSES = {
    # A detector of letter statistics took an English letter full of "jjjj" for something else.
    ("claude-3-haiku-20240307", "en-3608", "change_case:english_lowercase"): (True, True),
    # Names of companies: three English words among them are English here, and were not there.
    ("Qwen__Qwen2.5-7B-Instruct-GPTQ-Int4", "en-3617", "change_case:english_capital"): (True, True),
    # A list of names with a remark: a list of names is no language here; there, it once was one.
    ("Qwen__Qwen2.5-7B-Instruct-GPTQ-Int4", "en-3456", "change_case:english_capital"): (False, False),
    # The stored verdicts contradict the counts: there are 19 exclamation marks, 4 hashes and 8 exclamation marks.
    ("o1-mini-2024-09-12", "en-1129", "keywords:letter_frequency"): (True, True),
    ("Qwen__Qwen2.5-7B-Instruct-GPTQ-Int4", "en-1122", "keywords:letter_frequency"): (True, True),
    ("Qwen__Qwen2.5-7B-Instruct-GPTQ-Int4", "en-1129", "keywords:letter_frequency"): (True, True),
    # At the limit of 20 sentences: another reading of an abbreviation or a numbered list.
    ("o1-mini-2024-09-12", "en-1967", "length_constraints:number_sentences"): (True, True),
}
"""Every disagreement with the stored verdicts, with what we say, strict and loose, and the reason."""

AGREEMENT = Path(__file__).parents[3] / "docs" / "reference" / "agreement.md"
ROW = re.compile(r"^\| `([a-z_]+:[a-z_]+)` \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def compared(data):
    """Return (model, case, instruction) to ours and stored, each strict and loose."""
    folder = data / "outputs" / "mifeval_en"
    rows = map(json.loads, (folder / "cases.jsonl").read_text(encoding="utf-8").splitlines())
    cases = {row["case_id"]: _instructions(row) for row in rows}
    found = []
    for path in sorted((folder / "verdicts").glob("*.jsonl")):
        with gzip.open(folder / "responses" / f"{path.stem}.jsonl.gz", "rt", encoding="utf-8") as lines:
            outputs = {row["case_id"]: row["output"] or "" for row in map(json.loads, lines)}
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            text = outputs[row["case_id"]]
            looser = variants(text)
            stored = zip(row["strict"], row["loose"], strict=True)
            for instruction, verdict in zip(cases[row["case_id"]], stored, strict=True):
                ours = (follows_strictly(instruction, text), follows_loosely(instruction, looser))
                found.append(((path.stem, row["case_id"], instruction.id), ours, verdict))
    return found


def _instructions(row):
    pairs = zip(row["instruction_ids"], row["kwargs"], strict=True)
    return [Instruction(id=name.removeprefix("en:"), kwargs=kwargs) for name, kwargs in pairs]


@pytest.mark.data
def test_stored_verdicts_agree(compared):
    """2,502 verdicts of three models, strict and loose: all but the listed few, which have a reason each."""
    assert len(compared) == 2_502
    assert {key: ours for key, ours, stored in compared if ours != stored} == MISSES
    for which in (0, 1):
        n_agreeing = sum(ours[which] == stored[which] for _, ours, stored in compared)
        assert n_agreeing / len(compared) >= 0.995


@pytest.mark.data
def test_every_type_agrees_as_the_table_says(compared):
    """All 25 types occur, each agrees in 95% of its verdicts or more, and the page shows this very count."""
    n, agreeing = Counter(), Counter()
    for (_, _, name), ours, stored in compared:
        n[name] += 1
        agreeing.update((name, which) for which in (0, 1) if ours[which] == stored[which])
    assert set(n) == set(CHECKS)
    assert all(agreeing[name, which] / n[name] >= 0.95 for name in n for which in (0, 1))
    shown = {name: tuple(map(int, counts)) for name, *counts in ROW.findall(AGREEMENT.read_text(encoding="utf-8"))}
    assert shown == {name: (n[name], agreeing[name, 0], agreeing[name, 1]) for name in n}

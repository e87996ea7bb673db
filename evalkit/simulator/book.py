"""What the simulated models know: which prompt asks which case, and what a right answer to it is.

The server sees HTTP alone, as a provider does. So a case is found again by the words of its prompt, however the
client wrapped them: with the system text in front, with a schema behind, with other white space around.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from evalkit.errors import InputError
from evalkit.pipeline.script import expected_of_turn, script_of
from evalkit.simulator.mistakes import instance_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from evalkit.domain.call import Script, ScriptTurn
    from evalkit.domain.project import Project
    from evalkit.domain.suite import Case, ScorerSpec, Suite

__all__ = ["AnswerBook", "Entry", "Question", "book_from_project"]

_MIN_ANCHOR = 12
"""Shorter lines are too likely to stand in any prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One user turn of one case."""

    suite: str
    task: str
    case_id: str
    turn: int = 0
    is_last: bool = True
    """Whether the conversation ends with the answer."""
    expected: Any = None
    expect: str = "answer"
    schema: dict[str, Any] | None = None
    labels: tuple[str, ...] = ()
    """The closed set a wrong answer is taken from; empty: there is none."""
    decisive: tuple[str, ...] = ()
    """Top-level keys the task is scored on; empty: the whole answer."""
    max_output_tokens: int = 1024
    known_good: tuple[Any, ...] = ()
    known_bad: Any = None
    """An answer the suite itself knows to be wrong; None: it names none."""
    tool_calls: tuple[dict[str, Any], ...] = ()
    """What has to be called before an answer can be given, each with name and arguments."""

    @property
    def right_answer(self) -> Any:
        """What a model that can do it says: the first known good answer, else what is expected."""
        return self.known_good[0] if self.known_good else self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A question under the words that find it."""

    text: str
    """Digest of the whole user message, white space around it left out."""
    talk: str
    """Digest of all that the user said up to it: a later turn may read the same in every case."""
    anchors: tuple[str, ...]
    """Digests of its lines, longest first."""
    question: Question


class AnswerBook:
    """All questions of a project, found by the digest of their words; the words themselves are not kept."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = tuple(entries)
        self._by_talk = {entry.talk: entry.question for entry in reversed(self._entries)}
        self._by_text = {entry.text: entry.question for entry in reversed(self._entries)}
        seen = Counter(anchor for entry in self._entries for anchor in set(entry.anchors))
        self._by_anchor = {
            anchor: entry.question for entry in reversed(self._entries) for anchor in _unique(entry.anchors, seen=seen)
        }

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, *user_texts: str) -> Question | None:
        """Return what the last user message asks, or None when the book does not know it.

        All that the user said is tried first, then the message alone; then its lines, for the client may have put text
        around the prompt.

        Args:
            user_texts: every message of the user, the last one last; without any, nothing is asked.
        """
        user_text = user_texts[-1] if user_texts else ""
        exact = self._by_talk.get(_talk_digest(user_texts)) or self._by_text.get(_digest(user_text))
        return exact if exact is not None else self._find_by_lines(user_text)

    def _find_by_lines(self, user_text: str) -> Question | None:
        for anchor in _anchors(user_text):
            question = self._by_anchor.get(anchor)
            if question is not None:
                return question
        return None

    def to_json(self) -> str:
        """Return the book as one line of JSON."""
        return json.dumps([asdict(entry) for entry in self._entries], ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> AnswerBook:
        """Return the book `to_json` wrote.

        Raises:
            InputError: when the text is not such a book.
        """
        try:
            return cls(_entry(item) for item in json.loads(text))
        except (ValueError, TypeError, KeyError) as error:
            problem = f"not an answer book: {error}"
            raise InputError(problem, next_step="write it with AnswerBook.to_json") from error


def book_from_project(project: Project) -> AnswerBook:
    """Return the book of every active case of every suite.

    Raises:
        InputError: when a prompt cannot be rendered.
    """
    return AnswerBook(
        entry for suite in project.suites for case in suite.active_cases for entry in _entries(suite, case)
    )


def _entries(suite: Suite, case: Case) -> Iterator[Entry]:
    script = script_of(suite, case)
    said: list[str] = []
    for index, turn in enumerate(script.turns):
        said += [message.content for message in turn.messages if message.role == "user"]
        text = turn.messages[-1].content
        question = _question(suite, case, turn=index, script=script)
        yield Entry(text=_digest(text), talk=_talk_digest(said), anchors=tuple(_anchors(text)), question=question)


def _question(suite: Suite, case: Case, *, turn: int, script: Script) -> Question:
    response = suite.request.response
    schema = case.schema if case.schema is not None else (response.schema_ if response else None)
    is_last = turn == len(script.turns) - 1
    of_turn = None if is_last or not suite.request.turns else expected_of_turn(suite.request.turns[turn], case)
    specs = case.scorers if case.scorers is not None else suite.scorers
    return Question(
        suite=suite.name,
        task=suite.task,
        case_id=case.id,
        turn=turn,
        is_last=is_last,
        expected=case.expected if is_last else of_turn,
        expect=case.expect,
        schema=schema,
        labels=_labels(specs),
        decisive=_decisive(specs),
        max_output_tokens=case.max_output_tokens or suite.request.max_output_tokens,
        known_good=tuple(_last_answer(good) for good in case.known_good or ()) if is_last else (),
        known_bad=_known_bad(suite, case) if is_last else None,
        tool_calls=tuple(_calls(script.turns[turn])),
    )


def _last_answer(good: Any) -> Any:
    """Return the last answer of a known good conversation; any other good answer is one already."""
    is_talk = isinstance(good, dict) and good.keys() == {"turns"} and bool(good["turns"])
    return good["turns"][-1] if is_talk else good


def _known_bad(suite: Suite, case: Case) -> Any:
    """Return the first known bad answer that fails what the task is ranked by: a slip in form is no wrong answer."""
    return next((_last_answer(bad.answer) for bad in case.known_bad if suite.primary in bad.fails), None)


def _calls(turn: ScriptTurn) -> Iterator[dict[str, Any]]:
    for tool in turn.tools:
        if tool.name in (turn.tool_results or {}):
            yield {"name": tool.name, "arguments": instance_of(tool.parameters)}


def _labels(specs: Iterable[ScorerSpec]) -> tuple[str, ...]:
    for spec in specs:
        labels = spec.params.get("labels")
        if isinstance(labels, list):
            return tuple(str(label) for label in labels)
    return ()


def _decisive(specs: Iterable[ScorerSpec]) -> tuple[str, ...]:
    fields = [spec.params.get("field") for spec in specs]
    return tuple(field.strip("/") for field in fields if isinstance(field, str))


def _entry(item: Mapping[str, Any]) -> Entry:
    raw = dict(item["question"])
    for name in ("labels", "decisive", "known_good", "tool_calls"):
        raw[name] = tuple(raw.get(name, ()))
    return Entry(text=item["text"], talk=item["talk"], anchors=tuple(item["anchors"]), question=Question(**raw))


def _unique(anchors: tuple[str, ...], *, seen: Counter[str]) -> Iterator[str]:
    return (anchor for anchor in anchors if seen[anchor] == 1)


def _anchors(text: str) -> list[str]:
    """Return digests of the lines that are long enough to mean something, longest line first."""
    lines = {line.strip() for line in text.splitlines()}
    return [_digest(line) for line in sorted(lines, key=lambda line: (-len(line), line)) if len(line) >= _MIN_ANCHOR]


def _talk_digest(texts: Iterable[str]) -> str:
    return _digest("\x1f".join(text.strip() for text in texts))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.strip().encode("utf-8", "replace"), digest_size=16).hexdigest()

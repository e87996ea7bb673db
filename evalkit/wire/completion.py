"""A completion put together from one body or from the chunks of a stream, before anything is decided about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.wire.error_bodies import error_of, is_bare_error
from evalkit.wire.message import MessageReader, as_dict, as_dicts, as_text
from evalkit.wire.usage import usage_of_body

if TYPE_CHECKING:
    from evalkit.wire.sse import EventStream

__all__ = ["Completion", "completion_from_body", "completion_from_stream"]

_ROUTER_FIELDS = frozenset(
    {
        "provider",
        "system_fingerprint",
        "openrouter_metadata",
        "promptFeedback",
        "prompt_feedback",
        "stop_reason",
    }
)


@dataclass(slots=True, kw_only=True)
class Completion:
    """What a server sent, dialects removed."""

    message: MessageReader
    is_stream: bool = False
    has_choice: bool = False
    finish_reason: str | None = None
    """Of choice 0, raw; the last one that is not null."""
    native_finish: str | None = None
    model: str | None = None
    """The first that is not empty; `""` when only empty ones were sent."""
    usage: dict[str, Any] | None = None
    top: dict[str, Any] = field(default_factory=dict)
    """Top-level fields that say who answered, or why nobody did."""
    error: Any = None
    """The body or chunk that holds an error."""
    has_ended: bool = True
    """False when a stream stopped before its end."""
    is_torn: bool = False
    """Whether a piece in the middle was lost."""
    flags: set[str] = field(default_factory=set)
    _finishes: int = 0

    def take_top(self, body: dict[str, Any]) -> None:
        """Take what stands beside the choices."""
        name = body.get("model")
        if isinstance(name, str):
            self.model = self.model or name
        for key in _ROUTER_FIELDS & body.keys():
            if body[key]:
                self.top.setdefault(key, body[key])
        usage, is_groq = usage_of_body(body)
        if usage is not None:
            self.usage = usage
            if is_groq:
                self.flags.add("usage_in_x_groq")
        if body.get("prompt_filter_results") is not None:
            self.flags.add("azure_filter_results")
        if self.error is None and error_of(body):
            self.error = body

    def take_choice(self, choice: dict[str, Any], piece: Any) -> None:
        """Take choice 0, or the next piece of it."""
        self.has_choice = True
        self.message.add(as_dict(piece))
        if choice.get("content_filter_results") is not None:
            self.flags.add("azure_filter_results")
        finish = choice.get("finish_reason")
        if finish is not None:
            self.finish_reason = finish if isinstance(finish, str) else str(finish)[:100]
            self._finishes += 1
            if self._finishes > 1:
                self.flags.add("finish_twice")
        native = choice.get("native_finish_reason")
        if native is not None:
            self.flags.add("finish_native")
        native = native or as_dict(choice.get("provider_specific_fields")).get("native_finish_reason")
        self.native_finish = as_text(native) or self.native_finish


def completion_from_body(body: dict[str, Any]) -> Completion:
    """Return the completion of a plain JSON body."""
    completion = Completion(message=MessageReader())
    completion.take_top(body)
    choices = body.get("choices")
    if not isinstance(choices, list):
        completion.flags.add("no_choices")
    listed = as_dicts(choices)
    if len(listed) > 1:
        completion.flags.add("multi_choice")
    if not listed and completion.error is None and is_bare_error(body):
        completion.error = body
    if listed:
        choice = next((one for one in listed if one.get("index") == 0), listed[0])
        if not isinstance(choice.get("message"), dict):
            completion.flags.add("message_missing")
        completion.take_choice(choice, choice.get("message"))
    return completion


def completion_from_stream(stream: EventStream) -> Completion:
    """Return the completion that the chunks of a stream add up to."""
    completion = Completion(message=MessageReader(is_streamed=True), is_stream=True, flags=set(stream.flags))
    chunks = [_chunk(whole) for whole in stream.chunks]
    indices = {_index(choice) for chunk in chunks for choice in as_dicts(chunk.get("choices"))}
    if len(indices) > 1:
        completion.flags.add("multi_choice")
    wanted = min(indices, default=0)
    finished_at = None
    n_usage = 0
    for position, chunk in enumerate(chunks):
        choices = as_dicts(chunk.get("choices"))
        if completion.error is None and "choices" not in chunk and is_bare_error(chunk):
            completion.error = chunk
        n_usage += _note_chunk(completion, chunk, has_choices=bool(choices), is_first=position == 0)
        completion.take_top(chunk)
        for choice in choices:
            if _index(choice) == wanted:
                piece = choice.get("delta")
                completion.take_choice(choice, choice.get("message") if piece is None else piece)
        if finished_at is None and completion.finish_reason is not None:
            finished_at = position
    if n_usage > 1:
        completion.flags.add("usage_many_chunks")
    if completion.error is not None and stream.is_done:
        completion.flags.add("done_after_error")
    completion.has_ended = completion.finish_reason is not None or stream.is_done
    is_lost = stream.torn_at is not None and (finished_at is None or stream.torn_at <= finished_at)
    completion.is_torn = is_lost and completion.has_ended
    return completion


def _chunk(whole: Any) -> dict[str, Any]:
    """Return the chunk as an object; a list stands for its first one, anything else for nothing."""
    return next(iter(as_dicts(whole)), {}) if isinstance(whole, list) else as_dict(whole)


def _note_chunk(completion: Completion, chunk: dict[str, Any], *, has_choices: bool, is_first: bool) -> int:
    """Flag what a chunk without choices is for; return 1 when the chunk carries usage."""
    has_usage = usage_of_body(chunk)[0] is not None
    if not has_choices and has_usage:
        completion.flags.add("usage_only_chunk")
    if not has_choices and is_first and not error_of(chunk) and completion.error is None:
        completion.flags.add("empty_choices_first")
    return int(has_usage)


def _index(choice: dict[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) and index >= 0 else 0

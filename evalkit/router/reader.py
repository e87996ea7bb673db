"""What a gateway's router asks on every request: which models may serve this task, now?

Fails closed: a file that is missing, broken, tampered with, foreign or rolled back admits nobody. Follows the file:
at most one `stat` per `check_every_s`, so a look-up costs a dictionary access and a comparison.
"""

from __future__ import annotations

import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import RefusedError
from evalkit.router.document import (
    CLOCK_TOLERANCE_S,
    MAX_AHEAD_S,
    MAX_BYTES,
    Expectations,
    check_document,
    seconds_of_timestamp,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Mapping

__all__ = ["Admitted", "EligibilityReader", "View"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """One model that may serve a task, with what the router needs to ask it."""

    model_id: str
    route: str
    is_pin: bool
    valid_until: float
    """Unix seconds; a pin that the task keeps on expiry is offered beyond it."""
    request: Mapping[str, Any]
    """Mode and adaptations the model was measured with."""
    entry: Mapping[str, Any]
    """The whole model entry of the file: provider, host, context window, identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one and the same file says about a task now: a file that changes between two look-ups tears nothing."""

    live: str
    """The first 12 hexadecimal digits of the file's digest."""
    admitted: tuple[Admitted, ...]
    """In order; empty means deny."""
    entry: Mapping[str, Any] | None
    """The task as the file has it, the expired candidates included; None when the file does not know it."""
    tasks: Collection[str]
    """Every task the file knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    admitted: tuple[Admitted, ...]
    admitted_ids: frozenset[str]
    first_expiry: float
    """Until then nothing has to be looked at twice."""
    kept_pin: str | None
    """The model that stays beyond its expiry; what a waiver admitted ends with the waiver."""


@dataclass(frozen=True, slots=True)
class _Live:
    """An accepted file, whole: readers on other threads see this one or the next, never a mixture."""

    document: dict[str, Any]
    tasks: dict[str, _Task]
    generated_at: float


class EligibilityReader:
    """Reads one eligibility file, again whenever it changes. Safe to share between threads.

    Args:
        path: the file.
        audience: the environment this router serves.
        public_keys: key id to base64 Ed25519 public key; with any, unsigned files are refused.
        allow_simulated: accept files made with the simulator; never in production.
        check_every_s: seconds between looks at the file.
        now: Unix seconds; a parameter for tests.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        audience: str,
        public_keys: Mapping[str, str] | None = None,
        allow_simulated: bool = False,
        check_every_s: float = 1.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._path = Path(path)
        self._expect = Expectations(
            audience=audience, public_keys=dict(public_keys or {}), allow_simulated=allow_simulated
        )
        self._check_every_s = check_every_s
        self._now = now
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] = ()
        self._next_check = float("-inf")
        self._live: _Live | RefusedError = RefusedError("missing", f"{self._path}: not read yet")
        self._newest_accepted = 0.0
        self._latest = float("-inf")

    def candidates(self, task: str) -> tuple[Admitted, ...]:
        """Return the models that may serve a task, in order; empty means deny.

        Raises:
            RefusedError: when the file is not to be believed; its `code` says why.
        """
        now = self._now()
        found = self._follow(now).tasks.get(task)
        return () if found is None else self._admitted(found, now=now)

    def view(self, task: str) -> View:
        """Return all of it at once: candidates, the task's entry and which file says so.

        Raises:
            RefusedError: when the file is not to be believed; its `code` says why.
        """
        now = self._now()
        live = self._follow(now)
        found = live.tasks.get(task)
        return View(
            live=_short(live.document),
            admitted=() if found is None else self._admitted(found, now=now),
            entry=live.document["tasks"].get(task),
            tasks=live.tasks.keys(),
        )

    def is_eligible(self, task: str, model_id: str) -> bool:
        """Return whether a model may serve a task; False whenever the file is not to be believed."""
        now = self._now()
        try:
            found = self._follow(now).tasks.get(task)
        except RefusedError:
            return False
        now = max(now, self._latest)
        if found is None or model_id not in found.admitted_ids:
            return False
        if now <= found.first_expiry:
            return True
        return any(one.model_id == model_id and _is_live(one, found, now=now) for one in found.admitted)

    @property
    def newest_accepted(self) -> float:
        """`generated_at` of the newest file accepted so far, in Unix seconds: keep it over a restart."""
        return self._newest_accepted

    def refuse_before(self, generated_at: float) -> None:
        """Refuse files generated before this time (Unix seconds): what `newest_accepted` was before a restart."""
        with self._lock:
            self._newest_accepted = max(self._newest_accepted, generated_at)
            self._next_check, self._stamp = float("-inf"), ()

    @property
    def live(self) -> str:
        """The first 12 hexadecimal digits of the live file's digest, for `x-evalkit-eligibility`.

        Raises:
            RefusedError: when the file is not to be believed.
        """
        return _short(self.document)

    @property
    def document(self) -> Mapping[str, Any]:
        """The whole accepted file: spend caps, latency thresholds and failover are shown here, not enforced.

        Raises:
            RefusedError: when the file is not to be believed.
        """
        return self._follow(self._now()).document

    def _admitted(self, found: _Task, *, now: float) -> tuple[Admitted, ...]:
        now = max(now, self._latest)
        if now <= found.first_expiry:
            return found.admitted
        return tuple(one for one in found.admitted if _is_live(one, found, now=now))

    def _follow(self, now: float) -> _Live:
        """Take a new file in when there is one, and return the present one; raise when that is refused."""
        if self._is_due(now):
            with self._lock:
                # Whoever waited for the lock has no need to look again.
                if self._is_due(now):
                    self._live = self._look(now)
                    self._next_check = now + self._check_every_s
        live = self._live
        if isinstance(live, RefusedError):
            raise live.with_traceback(None)
        return live

    def _is_due(self, now: float) -> bool:
        # A clock set back must not stop the checks. Written so that NaN is due, too.
        return not self._next_check - self._check_every_s <= now < self._next_check

    def _look(self, now: float) -> _Live | RefusedError:
        try:
            stamp = _stamp(self._path)
            live = self._live
            # A refused file is looked at again: a clock may have caught up with it.
            if stamp != self._stamp or isinstance(live, RefusedError):
                live = self._read(now)
            elif live.generated_at > now + MAX_AHEAD_S:
                return RefusedError("from_the_future", f"{live.document['generated_at']} is ahead of this clock")
        except OSError as error:
            return RefusedError("missing", f"{self._path}: {error.strerror or error}")
        except RefusedError as error:
            return error
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            return RefusedError("malformed", f"{self._path}: not the shape of an eligibility file: {error!r}")
        # A clock set back must not bring what has expired to life again; only a newer file may set it right.
        self._latest = now if live.generated_at > self._newest_accepted else max(self._latest, now)
        self._stamp, self._newest_accepted = stamp, live.generated_at
        return live

    def _read(self, now: float) -> _Live:
        with self._path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        document = check_document(data, expect=self._expect, now=now, newest_accepted=self._newest_accepted)
        tasks = {name: _task(entry, document) for name, entry in document["tasks"].items()}
        return _Live(document, tasks, seconds_of_timestamp(document["generated_at"]))


def _short(document: Mapping[str, Any]) -> str:
    return str(document["digest"]).removeprefix("sha256:")[:12]


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what changes whenever the file does, be it replaced, written over or pointed elsewhere.

    Raises:
        OSError: when there is none.
        RefusedError: when it is no regular file: reading a pipe could wait for ever.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError("missing", f"{path} is not a regular file")
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _is_live(one: Admitted, task: _Task, *, now: float) -> bool:
    return now <= one.valid_until + CLOCK_TOLERANCE_S or one.model_id == task.kept_pin


def _task(entry: Mapping[str, Any], document: Mapping[str, Any]) -> _Task:
    admitted = tuple(_admitted(candidate, entry, document) for candidate in entry["candidates"])
    first = min((one.valid_until for one in admitted), default=0.0)
    # A pin is the first candidate: `check_document` has seen to it.
    by_evidence = all(candidate["admitted_by"] == "evidence" for candidate in entry["candidates"][:1])
    keeps = entry["on_expiry"] == "pin_only" and by_evidence
    return _Task(
        admitted=admitted,
        admitted_ids=frozenset(one.model_id for one in admitted),
        first_expiry=first + CLOCK_TOLERANCE_S,
        kept_pin=entry.get("pin") if keeps else None,
    )


def _admitted(candidate: Mapping[str, Any], entry: Mapping[str, Any], document: Mapping[str, Any]) -> Admitted:
    model_id = candidate["model"]
    model = document["models"][model_id]
    return Admitted(
        model_id=model_id,
        route=model["route"],
        is_pin=entry.get("pin") == model_id,
        valid_until=seconds_of_timestamp(candidate["valid_until"]),
        request=candidate["request"],
        entry=model,
    )

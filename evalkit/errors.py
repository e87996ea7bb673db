"""Every error evalkit raises on purpose, and the exit code each one means.

    EvalkitError
    ├── InputError            2   a file, flag or name the user gave is wrong
    │   └── NotFoundError     2   a run, suite, model or file that was named does not exist
    ├── RefusedError          1   a check the user asked for said no (verify, compare)
    ├── GatewayUnusableError  4   no model of the roster could be reached at all
    ├── LeaseHeldError        2   another live process owns what this one wants to write
    └── StoreError            70  the store broke in a way retrying cannot mend

Failures of the outside world while measuring are not errors: they are outcomes (domain/outcome.py).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "EvalkitError",
    "ExitCode",
    "GatewayUnusableError",
    "InputError",
    "LeaseHeldError",
    "NotFoundError",
    "NothingEarlierError",
    "Place",
    "RefusedError",
    "StoreError",
]


class ExitCode:
    """What a process exit means; when several hold, the first of 2, 4, 1, 3, 0 wins."""

    OK = 0
    """Nothing needs a person."""
    WORSE = 1
    """Something got worse, or the asked check failed."""
    USAGE = 2
    """Bad input or usage."""
    UNDECIDED = 3
    """Coverage, budget or evidence too thin to say."""
    GATEWAY = 4
    """The gateway is unusable."""
    BUG = 70
    """A bug of ours."""
    INTERRUPTED = 130
    """Ctrl-C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the user's input something is; every part may be unknown."""

    file: str | None = None
    line: int | None = None
    """1-based."""
    pointer: str | None = None
    """RFC 6901 JSON pointer inside the document, such as `/gates/0/at_least`."""

    def __str__(self) -> str:
        """Return `file:line: pointer`, leaving out what is unknown."""
        head = self.file or ""
        if self.line is not None:
            head = f"{head}:{self.line}"
        return ": ".join(part for part in (head, self.pointer or "") if part)


class EvalkitError(Exception):
    """Base of every deliberate error; `exit_code` is what the command line returns for it."""

    exit_code = ExitCode.BUG


class InputError(EvalkitError):
    """What the user gave cannot be used; says where, which value, and what to do next."""

    exit_code = ExitCode.USAGE

    def __init__(self, problem: str, *, place: Place | None = None, next_step: str = "") -> None:
        self.problem = problem
        self.place = place
        self.next_step = next_step
        super().__init__(str(self))

    def __str__(self) -> str:
        """Return `place: problem` and, on a second line, the next step."""
        head = f"{self.place}: {self.problem}" if self.place and str(self.place) else self.problem
        return f"{head}\n  next: {self.next_step}" if self.next_step else head


class NotFoundError(InputError):
    """A run, suite, model or file that was named does not exist."""


class NothingEarlierError(NotFoundError):
    """There is no earlier run to compare with yet: nothing is wrong, and nothing can be said."""

    exit_code = ExitCode.UNDECIDED


class LeaseHeldError(InputError):
    """Another live process owns what this one wants to write."""


class RefusedError(EvalkitError):
    """A check the user asked for said no; `code` is the machine-readable reason."""

    exit_code = ExitCode.WORSE

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"{code}: {message}")


class GatewayUnusableError(EvalkitError):
    """No model of the roster could be reached: nothing was measured."""

    exit_code = ExitCode.GATEWAY


class StoreError(EvalkitError):
    """The store broke in a way that retrying cannot mend; nothing committed was lost."""

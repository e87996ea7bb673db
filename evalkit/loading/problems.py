"""All that is wrong with a project, told at once: people mend ten mistakes in one go, not in ten runs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from evalkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from evalkit.errors import Place

__all__ = ["MAX_SHOWN", "Problems", "ProjectErrors", "closest", "placed"]

MAX_SHOWN = 20
"""Problems shown of one kind of thing, such as the cases of a file; the rest is counted."""


# The plural is the point: one exception that holds many.
class ProjectErrors(InputError):  # noqa: N818
    """Everything that is wrong with the files of a project; `errors` has at least one entry."""

    def __init__(self, errors: Iterable[InputError]) -> None:
        self.errors = tuple(errors)
        """In the order they were found: by file, then by line where it is known."""
        super().__init__(
            "\n".join(map(str, self.errors)),
            place=self.errors[0].place,
            next_step=self.errors[0].next_step,
        )

    def __str__(self) -> str:
        """Return the errors, one after the other, each beginning on its own line."""
        return "\n".join(map(str, self.errors))


@dataclass(slots=True)
class Problems:
    """Collects errors while checks go on."""

    found: list[InputError] = field(default_factory=list)

    def add(self, problem: str, *, place: Place, next_step: str = "") -> None:
        """Keep one problem."""
        self.found.append(InputError(problem, place=place, next_step=next_step))

    def add_few(self, errors: Iterable[InputError], *, what: str) -> None:
        """Keep the first `MAX_SHOWN` of errors about the same thing, and say how many more there are."""
        every = list(errors)
        self.found.extend(every[:MAX_SHOWN])
        if len(every) > MAX_SHOWN:
            more = len(every) - MAX_SHOWN
            self.found.append(
                InputError(f"… and {more:,} more {what}", place=every[MAX_SHOWN].place, next_step="mend these first")
            )

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keep the InputError that ends the block, if one does, and go on."""
        try:
            yield
        except ProjectErrors as errors:
            self.found.extend(errors.errors)
        except InputError as error:
            self.found.append(error)

    def raise_if_any(self) -> None:
        """Raise what was found.

        Raises:
            ProjectErrors: when there is any problem.
        """
        if self.found:
            raise ProjectErrors(self.found)


def closest(name: object, known: Iterable[str], *, what: str) -> str:
    """Return a next step: `did you mean 'x'? <what>: a, b, c`."""
    names = sorted(set(known))
    close = get_close_matches(str(name), names, n=1)
    question = f"did you mean {close[0]!r}? " if close else ""
    return f"{question}{what}: {', '.join(names) or 'none'}"


def placed(error: InputError, place: Place) -> InputError:
    """Return an error of a module that does not know the files, at the place in the file that caused it."""
    inner = error.place.pointer if error.place and error.place.pointer != place.pointer else None
    problem = f"{error.problem} (at {inner})" if inner else error.problem
    return InputError(problem, place=place, next_step=error.next_step)

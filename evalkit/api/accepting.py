"""An eligibility file as a router would accept it, with its whole shape checked: what exports and probes start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from evalkit.api.checking import own_audience
from evalkit.domain.eligibility import Eligibility
from evalkit.errors import NotFoundError, Place, RefusedError
from evalkit.router.reader import EligibilityReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Accepted", "accepted_file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A file that was accepted, and the reader that says who is live in it."""

    reader: EligibilityReader
    document: Mapping[str, Any]
    eligibility: Eligibility


def accepted_file(
    file: Path,
    *,
    now: Callable[[], float],
    audience: str | None = None,
    public_keys: Mapping[str, str] | None = None,
) -> Accepted:
    """Return an eligibility file, simulated or not, once a router would believe it.

    Args:
        file: the file.
        now: Unix seconds.
        audience: the environment it must be for; None takes whatever it says.
        public_keys: key id to base64 Ed25519 public key; with any, an unsigned file is refused.

    Raises:
        NotFoundError: for a missing file.
        RefusedError: when the file is not to be believed, or not whole.
    """
    try:
        with file.open("rb"):
            reader = EligibilityReader(
                file,
                audience=own_audience(file) if audience is None else audience,
                public_keys=public_keys,
                allow_simulated=True,
                now=now,
            )
    except OSError as error:
        raise NotFoundError(
            f"cannot read the eligibility file: {error.strerror or error}",
            place=Place(file=str(file)),
            next_step="evalkit decide -o FILE",
        ) from error
    document = reader.document
    try:
        eligibility = Eligibility.model_validate(document)
    except ValidationError as error:
        where = "/".join(map(str, error.errors()[0]["loc"]))
        raise RefusedError("malformed", f"not the shape of an eligibility file, first at {where!r}") from error
    return Accepted(reader=reader, document=document, eligibility=eligibility)

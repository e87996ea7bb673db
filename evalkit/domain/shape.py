"""The base of every noun that is read from or written to a file."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["NAME_PATTERN", "Identifier", "Shape", "Share"]


class Shape(BaseModel):
    """A frozen record with a published JSON Schema; an unknown key is an error, never ignored."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        populate_by_name=True,
        defer_build=True,  # validators of parts that are never used alone would double the start-up
    )


NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}$"

Identifier = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A name used as a key, a file name and a column: letters, digits and `._:@+-`, at most 128."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A number in [0, 1]."""

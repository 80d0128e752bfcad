"""Settings of plug-ins that are checked by their annotations."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from .errors import UsageError

SHORTER = {
    "Input should be": "must be", "greater than or equal to": "at least", "less than or equal to": "at most",
    "greater than": "above", "less than": "below", "'": "", "a valid integer": "a whole number", "a valid number": "a number",
    "a valid boolean": "true or false", "a valid string": "text",
}  # fmt: skip
"""Words of pydantic's messages, and what takes their place."""


class Settings:
    """Base class of frozen dataclasses whose fields are settings: values that an annotation does not allow are refused.

    An annotation names its choices (`Literal["l1", "l2"]`) or its range (`PositiveInt`, `Annotated[float, Field(ge=0, le=1)]`).
    Numbers of NumPy become those of Python, which alone are stored.

    Raises:
        UsageError: A setting is none of its choices or out of its range; the text says what is allowed.
    """

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name, allowed in _annotations(kind).items():
            if getattr(setting := getattr(self, name), "shape", None) == ():  # a number of NumPy or torch
                object.__setattr__(self, name, setting.item())
            try:
                allowed.validate_python(getattr(self, name))
            except ValidationError as error:
                message = error.errors()[0]["msg"]
                for words, shorter in SHORTER.items():
                    message = message.replace(words, shorter)
                raise UsageError(f"{name} {message}, got {getattr(self, name)!r}.") from None


@cache
def _annotations(kind: Any) -> dict[str, TypeAdapter[Any]]:
    """The annotation of each setting of a class, ready to check values."""
    hints, config = get_type_hints(kind, include_extras=True), ConfigDict(strict=True, allow_inf_nan=False)
    return {setting.name: TypeAdapter(hints[setting.name], config=config) for setting in fields(kind)}

"""The checker behind `--jaxtyping-packages`: beartype on array annotations alone.

Checking every annotation would answer a wrong setting before the code under test can refuse it, so refusals could not be tested.
For the same reason a class that validates its own fields (`__post_init__`) is left to do so.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the shapes and dtypes of its arrays checked, and nothing else."""
    shapes = {name: hint for name, hint in function.__annotations__.items() if has_array(hint)}
    if not shapes:
        return function
    function.__annotations__ = {name: shapes.get(name, Any) for name in function.__annotations__}
    strict = beartype(function)
    return unless_validated(strict) if function.__name__ == "__init__" else strict


def has_array(hint: Any) -> bool:
    """Whether a type hint is an array with a shape, or contains one."""
    return (inspect.isclass(hint) and issubclass(hint, AbstractArray)) or any(has_array(part) for part in get_args(hint))


def unless_validated(constructor: Callable[..., Any]) -> Callable[..., Any]:
    """The constructor's check, left out for classes with a `__post_init__`; only the instance tells the class."""

    def check(self: object, *fields: Any, **named: Any) -> Any:
        return None if hasattr(self, "__post_init__") else constructor(self, *fields, **named)

    return check

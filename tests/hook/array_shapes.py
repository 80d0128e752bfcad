"""The checker behind `--jaxtyping-packages`: beartype on array annotations alone.

Checking every annotation would answer a wrong setting before the code under test can refuse it, so refusals could not be tested.
For the same reason a class that validates its own fields (`__post_init__`) is left to do so.

jaxtyping's own decorator wraps every function, with arrays or without, and checks the arguments of a call twice, which took more
than a quarter of the time of all tests. This module puts `checked` in its place; jaxtyping's hook imports it first of all.
So do `is_instance` and `run_module` what jaxtyping does, in less time.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import partial, update_wrapper
from types import FunctionType, ModuleType
from typing import Any, get_args
from unittest.mock import patch

import jaxtyping
from beartype import BeartypeConf, beartype
from beartype.door import die_if_unbearable
from jaxtyping import AbstractArray, TypeCheckError
from jaxtyping._array_types import _MetaAbstractArray, _NamedDim
from jaxtyping._decorator import jaxtyped  # not the package's own name, which is replaced below
from jaxtyping._import_hook import _JaxtypingLoader, _optimized_cache_from_source
from jaxtyping._storage import _has_shape_memo, get_shape_memo

STRICT = BeartypeConf(violation_type=TypeCheckError)
SCOPE = jaxtyped("context")
PASSED: set[tuple[Any, ...]] = set()
"""Annotations of named axes alone, each with a type and a dtype that it passed."""
SHAPES: dict[tuple[str, str, int], dict[str, Any]] = {}
"""Array annotations of each function: one that is defined within another is decorated at every call of the outer one."""


def checked(thing: Any) -> Any:
    """A function, or a dataclass's constructor, with the shapes and dtypes of its arrays checked, and nothing else."""
    if not inspect.isclass(thing):
        return checked_function(thing)
    if is_dataclass(thing) and "__init__" in vars(thing) and not hasattr(thing, "__post_init__"):
        setattr(thing, "__init__", checked_function(thing.__init__))  # noqa: B010 (to mypy an assignment is a fault)
    return thing


def checked_function(function: FunctionType) -> Callable[..., Any]:
    """The function itself where no annotation has an array, else a function that checks them in a scope of axis names."""
    key = (function.__module__, function.__qualname__, function.__code__.co_firstlineno)
    if key not in SHAPES:
        SHAPES[key] = shapes_of(function)
    if not (shapes := SHAPES[key]):
        return function
    if inspect.isgeneratorfunction(function):
        return checked_generator(function, shapes)
    twin = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    twin.__kwdefaults__, twin.__annotations__ = function.__kwdefaults__, dict(shapes)
    twin.__module__, twin.__qualname__ = function.__module__, function.__qualname__
    strict = beartype(conf=STRICT)(twin)

    def call(*arguments: Any, **named: Any) -> Any:
        with SCOPE:
            return strict(*arguments, **named)

    return update_wrapper(call, function)


def checked_generator(function: FunctionType, shapes: dict[str, Any]) -> Callable[..., Any]:
    """A generator function with the arrays that it is given checked when it is called; what it yields is not checked."""
    signature, prefix = inspect.signature(function), f"{function.__module__}.{function.__qualname__}() "

    def call(*arguments: Any, **named: Any) -> Any:
        given = signature.bind(*arguments, **named).arguments
        with SCOPE:
            for name in shapes.keys() & given.keys():
                die_if_unbearable(given[name], shapes[name], conf=STRICT, exception_prefix=f"{prefix}parameter {name} ")
        return function(*arguments, **named)

    return update_wrapper(call, function)


def shapes_of(function: FunctionType) -> dict[str, Any]:
    """The annotations that have an array; names that only the type checker imports are left out."""
    hints = {}
    for name, hint in function.__annotations__.items():
        try:
            hints[name] = eval(hint, function.__globals__) if isinstance(hint, str) else hint
        except NameError:
            continue
    return {name: hint for name, hint in hints.items() if has_array(hint)}


def has_array(hint: Any) -> bool:
    """Whether a type hint is an array with a shape, or contains one."""
    return (inspect.isclass(hint) and issubclass(hint, AbstractArray)) or any(has_array(part) for part in get_args(hint))


def is_instance(annotation: Any, given: Any) -> bool:
    """jaxtyping's check of an array, without reading again what dtypes an annotation allows.

    Named axes of a type and a dtype that passed before are held against the sizes of the scope; all else is left to jaxtyping.
    """
    key = (annotation, type(given), getattr(given, "dtype", None))
    if key in PASSED and len(given.shape) == len(annotation.dims) and _has_shape_memo():
        sizes, new = get_shape_memo()[0], dict[str, int]()
        for axis, size in zip(annotation.dims, given.shape, strict=True):
            if sizes.get(axis.name, size) != size or new.setdefault(axis.name, size) != size:
                return False
        sizes.update(new)
        return True
    passed = bool(annotation.__instancecheck_str__(given) == "")
    if passed and not annotation._skip_instancecheck and all(is_plain(axis) for axis in annotation.dims):
        PASSED.add(key)
    return passed


def is_plain(axis: Any) -> bool:
    """Whether an axis has a name, and nothing else."""
    return type(axis) is _NamedDim and not axis.broadcastable and not axis.treepath


def run_module(loader: Any, module: ModuleType) -> None:
    """Runs a module of flowgauge with its checks, whose bytecode has a name of its own.

    jaxtyping gives this name to the bytecode of all that the module imports too, so that other libraries are compiled anew.
    """
    named = partial(_optimized_cache_from_source, loader._typechecker.get_hash())
    with patch("importlib._bootstrap_external.cache_from_source", named):
        code = loader.get_code(module.__name__)
    exec(code, module.__dict__)


setattr(_JaxtypingLoader, "exec_module", run_module)  # noqa: B010
setattr(_MetaAbstractArray, "__instancecheck__", is_instance)  # noqa: B010
setattr(jaxtyping, "jaxtyped", lambda typechecker: checked)  # noqa: B010 (to mypy an assignment is a fault)

"""A model that plug-ins share: whether one of them has changed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from operator import is_
from threading import Thread
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import FlowgaugeError, SharedStateChanged
from ..core.foreign_code import defined_by, faults_in_words, foreign_code, is_foreign, source_file, users_threads
from .batch import Batch
from .layered import Layered


class SharedModel:
    """What a model was when it was first lent: its weights and buffers bit by bit, mode, hooks and attributes of every module.

    Args:
        model: The model.
    """

    def __init__(self, model: Layered) -> None:
        self.model = model
        self._attributes: list[tuple[Mapping[str, Any], dict[str, Any]]] = []
        self._containers: list[tuple[str, Any, Any]] = []
        self._weights: list[tuple[Tensor, tuple[bool, bool], Tensor]] = []
        self._tokenizer: tuple[Any, ...] = ()

    @contextmanager
    def lent_to(self, *plugins: Any) -> Iterator[None]:
        """Runs plug-ins on the model; those from outside flowgauge are held to leave it, and the process, as they were.

        Args:
            plugins: The plug-in that runs, then those that it may run; None among them is left out.

        Raises:
            SharedStateChanged: The model was changed, or may still be by a thread, so that nothing may use it any more.
            PluginFault: The plug-in failed, or left a setting of the process changed.
        """
        foreign = [plugin for plugin in plugins if plugin is not None and is_foreign(plugin)]
        name = f"{getattr(plugins[0], 'flowgauge_kind', 'plug-in')} {getattr(plugins[0], 'name', '')!r}"
        if not foreign and not is_foreign(self.model):
            with faults_in_words(name):
                yield
            return
        self.keep()
        threads = users_threads()
        try:
            with foreign_code(name, source_file(foreign[0]) or "" if foreign else ""):
                yield
        except KeyboardInterrupt:
            raise
        except FlowgaugeError:
            self._require_unchanged(name, threads)
            raise
        self._require_unchanged(name, threads)

    def _require_unchanged(self, name: str, threads: set[Thread]) -> None:
        if users_threads() - threads:
            raise SharedStateChanged(
                f"{name} left a thread running, so the run was stopped before it could change what others use: join each thread "
                "that it starts, and run the same command again."
            )
        if changed := self.changed():
            raise SharedStateChanged(
                f"{name} changed {changed}, so the run was stopped before anything else could use the model: "
                "give it a copy to change, and run the same command again."
            )

    def changed(self) -> str:
        """What of the model is no longer what it was, in words; empty where nothing is."""
        for attributes, before in self._attributes:
            for name in _replaced(attributes, before):
                return _in_words(name)
        for name, container, before in self._containers:
            if (container or before) and (len(container) != len(before) or any(_replaced(container, before))):
                return _in_words(name)
        if _tokenizer_state(self.model) != self._tokenizer:
            return "the model's tokenizer"
        for tensor, state, values in self._weights:
            if (tensor.requires_grad, tensor.grad is None) != state:
                return "which of the model's weights have gradients"
            if not torch.equal(tensor, values) and bool(((tensor != values) & ~(tensor.isnan() & values.isnan())).any()):
                return "the model's weights"
        return ""

    def keep(self) -> None:
        """Notes the present state, once."""
        if self._weights:
            return
        model, modules = self.model, _modules(self.model)
        configs = [module.config for module in modules if hasattr(module, "config")]
        things = (model, type(model), *modules, *configs)
        for attributes in {id(thing): getattr(thing, "__dict__", {}) for thing in things}.values():
            self._attributes.append((attributes, dict(attributes)))
            self._containers += [(n, v, v.copy()) for n, v in attributes.items() if isinstance(v, (dict, list, set))]
        tensors = (*model.parameters(), *(buffer for module in modules for buffer in module.buffers(recurse=False)))
        for tensor in {id(tensor): tensor for tensor in tensors}.values():
            self._weights.append((tensor, (tensor.requires_grad, tensor.grad is None), tensor.detach().clone()))
        self._tokenizer = _tokenizer_state(model)


def lent_copy(batch: Batch, plugin: Any) -> Batch:
    """The batch itself for a built-in plug-in; for one from outside a copy, with a cache that only plug-ins of its file share."""
    if not is_foreign(plugin):
        return batch
    copies: dict[str, Any] = {
        part.name: v.clone() for part in fields(batch) if isinstance(v := getattr(batch, part.name), Tensor)
    }
    cache = batch.cache.setdefault(("plug-ins", defined_by(plugin).__module__), {})
    return replace(batch, **copies, cache=cache)


def _modules(model: Layered) -> list[nn.Module]:
    """Every torch module of a model."""
    roots = (
        [model]
        if isinstance(model, nn.Module)
        else [v for v in getattr(model, "__dict__", {}).values() if isinstance(v, nn.Module)]
    )
    return list(dict.fromkeys(module for root in roots for module in root.modules()))


def _tokenizer_state(model: Layered) -> tuple[Any, ...]:
    tokenizer = model.tokenizer
    own = {name: value for name, value in getattr(tokenizer, "__dict__", {}).items() if callable(value)}
    steps = [str(getattr(getattr(tokenizer, "_tokenizer", None), name, "")) for name in ("normalizer", "pre_tokenizer")]
    return (len(tokenizer), own, *steps, *(getattr(tokenizer, f"{name}_side", "") for name in ("padding", "truncation")))


def _replaced(now: Any, before: Any) -> Iterator[str]:
    """Names, or elements, by which two containers differ; values that are equal numbers or texts are the same."""
    if not isinstance(now, Mapping):
        yield from () if now == before else ("parts",)
    elif now.keys() != before.keys() or not all(map(is_, now.values(), before.values())):
        for name in now.keys() | before.keys():
            one, other = before.get(name), now.get(name)
            plain = isinstance(one, (str, int, float, tuple)) and type(one) is type(other)
            if one is not other and not (plain and one == other):
                yield name


def _in_words(attribute: str) -> str:
    """What messages call an attribute of a module."""
    if attribute == "training":
        return "the model's training mode"
    if attribute in ("_parameters", "_buffers"):
        return "the model's weights"
    return "the hooks on the model" if "hook" in attribute else f"the model's {attribute.strip('_').replace('_', ' ')}"

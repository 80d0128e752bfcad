"""A model that plug-ins change is noticed, whatever of it they change; batches are lent as copies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tokenizers
import torch
from tests.models.conftest import ENCODERS

from flowgauge.core.errors import SharedStateChanged
from flowgauge.core.foreign_code import PluginFault
from flowgauge.methods.random import Random
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.inputs.encode import encode
from flowgauge.models.load import load_model
from flowgauge.models.shared_model import SharedModel, lent_copy
from flowgauge.tasks.instance import Quantity
from flowgauge.tasks.registry import load_task

MINE = SimpleNamespace(name="mine", flowgauge_kind="method")


@pytest.fixture
def model(tiny_bert: Path) -> FlowModel:
    """A model of the test's own."""
    return load_model(str(tiny_bert))


def negate(model: Any) -> None:
    for weight in model.parameters():
        weight.data.neg_()


CHANGES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "signs": (negate, "the model's weights"),
    "one weight": (lambda m: m.hf.cls.predictions.bias.numpy().__setitem__(0, 1.0), "the model's weights"),
    "a new weight": (lambda m: setattr(m.word_embedding, "weight", torch.nn.Parameter(torch.ones(3, 3))), "the model's weights"),
    "buffers": (lambda m: [b.add_(1) for b in m.hf.buffers()], "the model's weights"),
    "gradients": (lambda m: m.hf.requires_grad_(True), "which of the model's weights have gradients"),
    "mode": (lambda m: m.hf.bert.encoder.layer[1].train(), "the model's training mode"),
    "forward hook": (lambda m: m.word_embedding.register_forward_hook(lambda *_: None), "the hooks on the model"),
    "backward hook": (lambda m: m.hf.register_full_backward_hook(lambda *_: None), "the hooks on the model"),
    "layers": (lambda m: m.hf.bert.encoder.layer.pop(1), "the model's modules"),
    "forward": (lambda m: setattr(m.hf, "forward", print), "the model's forward"),
    "outputs": (lambda m: setattr(m, "outputs", print), "the model's outputs"),
    "configuration": (lambda m: setattr(m.hf.config, "hidden_act", "relu"), "the model's hidden act"),
    "tokens": (lambda m: setattr(m.tokenizer, "convert_ids_to_tokens", print), "the model's tokenizer"),
    "normalizer": (
        lambda m: setattr(m.tokenizer.backend_tokenizer, "normalizer", tokenizers.normalizers.NFC()),
        "the model's tokenizer",
    ),
    "words": (lambda m: m.tokenizer.add_tokens("unheard"), "the model's tokenizer"),
}


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_what_a_plug_in_changes_is_named_even_if_it_fails_afterwards(
    change: Callable[[Any], Any], said: str, model: FlowModel
) -> None:
    shared = SharedModel(model)
    with pytest.raises(SharedStateChanged, match=rf"^method 'mine' changed {said}, so the run was stopped"), shared.lent_to(MINE):
        change(model)
        raise ValueError("too late")


def test_a_class_that_is_changed_for_every_model_is_noticed(model: FlowModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SharedStateChanged, match="the model's readout"), SharedModel(model).lent_to(None, MINE):
        monkeypatch.setattr(FlowModel, "readout", lambda *_: None)


@pytest.mark.parametrize("family", ENCODERS)
def test_what_runs_the_model_and_takes_gradients_changes_nothing(family: str, tiny_flows: Callable[..., FlowModel]) -> None:
    model = tiny_flows(family)
    shared = SharedModel(model)
    with shared.lent_to(MINE):
        batch = encode(model, load_task("sva/obj").instances("test", 2, 0), Quantity())
        words = model.words(batch).requires_grad_()
        torch.autograd.grad(model.readout(model.embed(words, batch), batch)[0].sum(), words)
        model.hf(batch.ids)
    assert shared.changed() == ""


def test_a_model_with_undefined_weights_is_not_taken_for_a_changed_one(model: FlowModel) -> None:
    model.hf.cls.predictions.bias.data[:2] = torch.nan
    shared = SharedModel(model)
    with shared.lent_to(MINE):
        model.hf(torch.ones(1, 3, dtype=torch.long))
    assert shared.changed() == ""


def test_built_in_plug_ins_are_trusted_and_their_faults_are_said_in_words(model: FlowModel) -> None:
    shared = SharedModel(model)
    with pytest.raises(PluginFault, match=r"^out of luck"), shared.lent_to(Random()):
        model.hf.train()
        raise ValueError("out of luck")
    with pytest.raises(KeyboardInterrupt), shared.lent_to(MINE):
        raise KeyboardInterrupt


def test_a_batch_is_lent_as_a_copy_with_a_cache_for_the_plug_ins_of_one_file(tiny_flow: FlowModel) -> None:
    batch = encode(tiny_flow, load_task("sva/obj").instances("test", 2, 0), Quantity())
    assert lent_copy(batch, Random()) is batch
    lent, again = lent_copy(batch, MINE), lent_copy(batch, MINE)
    lent.ids.zero_()
    lent.cache["work"] = 1
    assert batch.ids.any() and again.cache == {"work": 1} and "work" not in batch.cache


def test_a_thread_that_a_plug_in_leaves_running_stops_the_run(model: FlowModel, tmp_path: Path) -> None:
    (tmp_path / "later.py").write_text("def wait(end):\n    end.wait(60)\n")
    scope: dict[str, Any] = {}
    exec(compile((tmp_path / "later.py").read_text(), tmp_path / "later.py", "exec"), scope)
    end = threading.Event()
    thread = threading.Thread(target=scope["wait"], args=(end,), daemon=True)
    shared = SharedModel(model)
    try:
        with pytest.raises(SharedStateChanged, match="left a thread running, so the run was stopped"), shared.lent_to(MINE):
            thread.start()
    finally:
        end.set()
        thread.join()
    with shared.lent_to(MINE):  # one that has ended is none
        pass

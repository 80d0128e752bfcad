"""Training with states replaced: its loss is that of a reduced model, for every kind of head, and it has the effect it is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flowgauge.benchmark.fine_tuning.fine_tune import train
from flowgauge.benchmark.fine_tuning.reduced_training import reduced_loss
from flowgauge.core.errors import UsageError
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.interventions.random_replacement import RandomReplacement
from flowgauge.models.load import load_model

WHOLE, HALF = RandomReplacement(0.0), RandomReplacement(1.0, 1.0)


def inputs_of(flow: FlowModel, spans: bool) -> dict[str, torch.Tensor]:
    """Two texts, for a classifier of different lengths: of a span, transformers lets padding compete, and flowgauge does not."""
    ids = torch.randint(5, 30, (2, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * 7, [1] * 7 if spans else [1] * 5 + [0] * 2])
    ends = {"start_positions": torch.tensor([2, 1]), "end_positions": torch.tensor([4, 3])}
    return {"input_ids": ids * mask, "attention_mask": mask, **(ends if spans else {"labels": torch.tensor([0, 1])})}


@pytest.mark.parametrize(("family", "head"), [("bert", "label"), ("gpt2", "label"), ("llama", "label"), ("bert", "span")])
def test_without_replaced_states_the_loss_is_that_of_transformers(
    tiny_folder: Callable[..., Path], family: str, head: str
) -> None:
    flow = load_model(str(tiny_folder(family, head)))
    if flow.hf.config.pad_token_id is None:
        flow.hf.config.pad_token_id = 0
    inputs = inputs_of(flow, head == "span")
    loss, logits = reduced_loss(flow, inputs, WHOLE, torch.Generator())
    assert len(logits) == 1 + (head == "span")
    assert loss.item() == pytest.approx(flow.hf(**inputs).loss.item(), rel=1e-5)
    other, _ = reduced_loss(flow, inputs, HALF, torch.Generator().manual_seed(1))
    again, _ = reduced_loss(flow, inputs, HALF, torch.Generator().manual_seed(1))
    assert other.item() == again.item() and abs(other.item() - loss.item()) > 1e-3


def test_a_model_that_is_trained_so_bears_missing_states_better(tiny_bert: Path, tiny_data: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"epochs": 40, "lr": 3e-3, "batch_size": 8, "max_length": 40, "device": "cpu"}
    robustly: dict[str, Any] = {**settings, "ablation_robust": True, "replaced_share": 1.0, "replaced_rate": 0.8}
    losses = {}
    for name, given in (("plain", settings), ("robust", robustly)):
        made = train(str(tiny_bert), "sst2", tmp_path / name, data_dir=str(tiny_data), **given)
        flow = load_model(str(made.folder))
        rows = [line.split("\t") for line in (tiny_data / "sst2" / "train.tsv").read_text().splitlines()[1:]]
        inputs = dict(flow.tokenizer([text for text, _ in rows], padding=True, return_tensors="pt"))
        inputs["labels"] = torch.tensor([int(label) for _, label in rows])
        draws = [reduced_loss(flow, inputs, RandomReplacement(1.0, 0.8), torch.Generator().manual_seed(s))[0] for s in range(10)]
        losses[name] = torch.stack(draws).mean().item()
    assert losses["robust"] < 0.6 * losses["plain"]
    card = (tmp_path / "robust" / "README.md").read_text()
    assert "states of 100% of the texts replaced by zeros at random, up to 80% of them" in card
    assert "replaced" not in (tmp_path / "plain" / "README.md").read_text()
    again = train(str(tiny_bert), "sst2", tmp_path / "robust", data_dir=str(tiny_data), **robustly)
    assert not again.fresh
    with pytest.raises(
        UsageError, match=r"other settings \(replaced_share: 1.0 there, None now; replaced_rate: 0.8 there, None now\)"
    ):
        train(str(tiny_bert), "sst2", tmp_path / "robust", data_dir=str(tiny_data), **settings)


@pytest.mark.parametrize("setting", [{"replaced_share": 0.0}, {"replaced_rate": 1.5}])
def test_shares_outside_their_range_are_refused(setting: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"replaced-(share|rate) must lie above 0 and at most at 1"):
        train("agreement-bert", "sst2", tmp_path / "x", device="cpu", ablation_robust=True, **setting)

"""Models from folders and names: they equal Hugging Face, and refusals name the remedy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from flowgauge.core.errors import UsageError
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.inputs.encode import encode
from flowgauge.models.load import load_base, load_model
from flowgauge.tasks.instance import Instance

EQUAL = {"deberta-v2": 1e-6, "modernbert": 1e-6}
"""Largest share of the logits that differs where transformers computes a part in float32; 1e-10 elsewhere."""
WITHOUT_TYPES = {"distilbert", "modernbert", "mpnet"}
FAMILIES = ["bert", "roberta", "electra", "distilbert", "albert", "camembert", "deberta-v2", "modernbert", "mpnet", "xlm-roberta"]


def pair(text="the author [MASK] tall .", answer=("is",), against=("are",), **more):
    return Instance(id=more.pop("id", "i"), segments=(text,), answer=answer, against=against, **more)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", ["masked", "label", "span"])
def test_folders_of_every_family_load_and_equal_hugging_face(tiny_flows, family, head):
    model = tiny_flows(family, head)
    texts = ["the author is tall .", "the guard that the chef likes is old ."]
    make = {
        "masked": lambda i, t: pair(t.replace(" is ", " [MASK] ")),
        "label": lambda i, t: Instance(str(i), (t,), (i,)),
        "span": lambda i, t: Instance(str(i), ("is the author tall", t), (4, 10)),
    }[head]
    batch = encode(model, [make(i, t) for i, t in enumerate(texts)])
    inputs = {"input_ids": batch.ids, "attention_mask": batch.attention_mask.long()}
    with torch.no_grad():
        made = model.hf(**inputs, **({} if family in WITHOUT_TYPES else {"token_type_ids": batch.token_type_ids}))
    if head == "span":
        expected, found = made.end_logits[batch.attention_mask], model.outputs(batch)[1][batch.attention_mask]
    else:
        expected = made.logits[torch.arange(2), batch.target] if head == "masked" else made.logits
        found = model.outputs(batch)[0]
    assert (found - expected).abs().max() < EQUAL.get(family, 1e-10) * max(1, float(expected.abs().max()))
    assert model.head == head


def test_a_checkpoint_without_its_heads_weights_is_refused(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder("bert", "label"), tmp_path / "headless")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertForMaskedLM"]}))
    with pytest.raises(UsageError, match=r"lacks weights \(cls\.predictions.*which would be random"):
        load_model(str(folder))


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_a_checkpoint_without_its_tokenizer_is_refused(family: str, tiny_folder: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny_folder(family, "label") / name).read_bytes())
    with pytest.raises(UsageError, match=r"has no tokenizer \(tokenizer.json or vocab.txt\): save the one it was trained with"):
        load_model(str(tmp_path))


def test_refusals_name_the_remedy():
    with pytest.raises(UsageError, match="did you mean agreement-bert"):
        load_model("agrement-bert")
    with pytest.raises(UsageError, match="no model folder"):
        load_model("./nowhere")
    with pytest.raises(UsageError, match="the Hub cannot be reached"):
        load_model("some-model-that-is-nowhere")
    with pytest.raises(UsageError, match="no dtype is called 'float8'"):
        load_model("agreement-bert", dtype="float8")
    with pytest.raises(UsageError, match="device 'cuda:99' cannot be used here"):
        load_model("agreement-bert", device="cuda:99")
    with pytest.raises(UsageError, match=r"no device is called 'banana'; choose cpu, cuda, cuda:1 \(the second GPU\) or mps"):
        load_model("agreement-bert", device="banana")


def test_a_new_head_has_the_classes_and_the_model_its_limit_of_tokens(tiny_folder):
    base = load_base(str(tiny_folder("bert", "masked")), ("no", "maybe", "yes"))
    assert base.hf.config.id2label == {0: "no", 1: "maybe", 2: "yes"}
    assert base.hf.classifier.out_features == 3
    assert base.max_tokens == 40
    assert load_base(str(tiny_folder("bert", "masked")), None).hf.qa_outputs.out_features == 2


class Program:
    """What runs when a pickle with it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("print('a program of the checkpoint ran')",)


def _other_weights(folder: Path, change: Callable[[Tensor], Any], ending: str) -> None:
    """Writes a checkpoint's weights anew with one of them changed."""
    weights = load_file(folder / "model.safetensors")
    name = "bert.encoder.layer.1.output.dense.weight"
    weights[name] = change(weights[name])
    (folder / "model.safetensors").unlink()
    if ending == "bin":
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "ending", "said"),
    [
        (lambda w: w[:7, :5].clone(), "safetensors", r"bert.*\(7, 5\), where its config.json asks for"),
        (
            lambda w: w[:7, :5].clone(),
            "bin",
            r"bert.encoder.layer.1.output.dense.weight in the shape \(7, 5\), where its config.json asks for",
        ),
        (lambda w: w.to(torch.complex64), "safetensors", "complex numbers, which no model has"),
        (lambda w: w.to(torch.complex64), "bin", "complex numbers, which no model has"),
        (
            lambda _: Program(),
            "bin",
            "its weights are a pickle of more than tensors, which could run any program and is not read",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(tiny_model: Path, tmp_path: Path, change, ending: str, said: str, capsys) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    _other_weights(folder, change, ending)
    with pytest.raises(UsageError, match=said):
        load_model(str(folder))
    assert "a program of the checkpoint ran" not in capsys.readouterr().out


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_decoder_is_fine_tuned_with_the_end_of_the_text_as_padding(tiny_folder: Callable[..., Path], family: str) -> None:
    """transformers finds the last word by the padding token, and flowgauge by the attention mask: both read the same one."""
    base = load_base(str(tiny_folder(family, "next")), ("no", "yes"))
    assert base.tokenizer.pad_token == "[SEP]" and base.hf.config.pad_token_id == base.tokenizer.pad_token_id == 3
    texts = ["the author is tall .", "the guard that the chef likes is old ."]
    padded = base.tokenizer(texts, padding=True, return_tensors="pt")
    model = FlowModel(base.hf.double(), base.tokenizer, "base")
    batch = encode(model, [Instance(str(i), (text,), (i,)) for i, text in enumerate(texts)])
    with torch.no_grad():
        expected = base.hf(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).logits
    assert (model.outputs(batch)[0] - expected).abs().max() < 1e-5
    assert not torch.equal(expected[0], expected[1])


def test_without_an_end_of_text_padding_is_asked_for(tiny_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder("gpt2", "next"), tmp_path / "endless")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "eos_token": None}))
    with pytest.raises(UsageError, match="has no padding token, which training needs: name it"):
        load_base(str(folder), ("no", "yes"))

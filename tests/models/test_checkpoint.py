"""A checkpoint is held against what is asked of it by its configuration: the true reason first, and advice that works."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowgauge.core.errors import UnfitSentence, UsageError
from flowgauge.models.checkpoint import check_tokenizer, fetch, looks_like_path, open_checkpoint
from flowgauge.models.inputs.encode import encode
from flowgauge.models.load import load_base, load_model
from flowgauge.tasks.instance import Instance

Variant = Callable[..., Path]


@pytest.fixture
def variant(tiny_folder: Callable[..., Path], tmp_path: Path) -> Variant:
    """`variant(head="masked", **config)`: a copy of a tiny model with other entries in its config.json; None removes one."""

    def copy(head: str = "masked", family: str = "bert", **config: Any) -> Path:
        folder = Path(shutil.copytree(tiny_folder(family, head), tmp_path / "odd", dirs_exist_ok=True))
        entries = json.loads((folder / "config.json").read_text()) | config
        (folder / "config.json").write_text(json.dumps({key: value for key, value in entries.items() if value is not None}))
        return folder

    return copy


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"model_type": "xlnet", "architectures": ["XLNetLMHeadModel"]}, r"is of family 'xlnet' \(saved as XLNetLMHeadModel\)"),
        (
            {"model_type": "rwkv", "architectures": ["RwkvForCausalLM"]},
            "is of family 'rwkv'.*choose a checkpoint of one of these",
        ),
        (
            {"quantization_config": {"quant_method": "gptq", "bits": 4}},
            r"are quantised by gptq \(quantization_config in config.json\).*choose the checkpoint that it was made from",
        ),
        ({"quantization_config": "int8"}, r"are quantised \(quantization_config"),
        ({"compression_config": {"format": "int-quantized"}}, "are quantised"),
        (
            {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}},
            r"family 'own'.*code that comes with a checkpoint \(auto_map\)",
        ),
        (
            {"auto_map": {"AutoModel": "own.Own"}, "architectures": ["OwnForMaskedLM"]},
            "saved as OwnForMaskedLM, a class of its own",
        ),
        ({"model_type": None}, "states no model_type"),
        ({"is_decoder": True}, "is configured as a decoder"),
        ({"architectures": ["BertLMHeadModel"]}, r"is configured as a decoder \(.*saved as ...LMHeadModel\): choose an encoder"),
        (
            {"position_embedding_type": "relative_key"},
            "position_embedding_type 'relative_key', which transformers 5 does not compute",
        ),
        ({"num_hidden_layers": 100_000}, "has num_hidden_layers 100000, expected 1 to 1000 layers"),
        ({"num_hidden_layers": "many"}, "has num_hidden_layers many, expected 1 to 1000 layers"),
        ({"num_labels": 10**9}, "has num_labels 1000000000, expected 1 to 100000 outputs"),
        (
            {"hidden_size": 10**7},
            r"describes at least [\d,]+ weights \(2 layers of width 10000000,.*configuration of another model",
        ),
        ({"vocab_size": 10**9}, r"describes at least [\d,]+ weights.*1000000000 words"),
    ],
)
def test_a_family_or_size_that_cannot_be_run_is_refused_before_weights_are_read(
    variant: Variant, config: dict[str, Any], text: str
) -> None:
    folder = variant(**config)
    weights = (folder / "model.safetensors").stat().st_size
    (folder / "model.safetensors").write_bytes(b"\xff" * weights)  # whoever read it would say so
    with pytest.raises(UsageError, match=text):
        load_model(str(folder))
    with pytest.raises(UsageError, match=text):
        load_base(str(folder), ("no", "yes"))


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            {"architectures": ["ElectraForPreTraining"]},
            r"a head that finds replaced words \(a discriminator\).*`flowgauge train --mod",
        ),
        ({"architectures": ["BertModel"]}, "saved as BertModel, which has neither a masked-LM nor a next-token nor a seq"),
        (
            {"architectures": None},
            r'does not state its head \(architectures\): if it has one, add "architectures": \["BertForSeq',
        ),
        ({"problem_type": "regression"}, "has a regression head with 2 scores; a head with one score is explained"),
        ({"problem_type": "single_label_classification", "id2label": {"0": "x"}}, "has a classification head with one class"),
        ({"problem_type": "guessing"}, "has problem_type 'guessing'; expected single_label_classification, multi"),
    ],
)
def test_a_head_that_is_not_explained_is_named_before_weights_are_read(
    variant: Variant, config: dict[str, Any], text: str
) -> None:
    folder = variant("label", **config)
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(UsageError, match=text):
        load_model(str(folder))


def test_the_advice_to_train_a_head_works(variant: Variant) -> None:
    assert load_base(str(variant("masked", architectures=["ElectraForPreTraining"], family="electra")), ("no", "yes"))
    assert load_base(str(variant("label", problem_type="regression")), ("no", "yes")).hf.config.num_labels == 2


def test_an_adapter_and_a_folder_of_sentence_transformers_are_named(variant: Variant, tmp_path: Path) -> None:
    folder = variant("label")
    (folder / "modules.json").write_text("[]")
    assert open_checkpoint(str(folder)).head() == "label", "a folder with a head of its own is taken as it is"
    inner = shutil.copytree(folder, tmp_path / "sentences" / "0_Transformer").parent
    (inner / "modules.json").write_text("[]")
    with pytest.raises(
        UsageError, match=r"is a sentence-transformers folder: name the folder with the transformer, .*/0_Transformer"
    ):
        open_checkpoint(str(inner))
    with pytest.raises(UsageError, match="turns texts into vectors and has no head; train one"):
        folder = variant(architectures=["BertModel"])
        load_model(str(folder))
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/base"}')
    with pytest.raises(
        UsageError, match=r"is an adapter \(adapter_config.json\) of 'some/base' and no whole model: merge it first"
    ):
        load_model(str(folder))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"has no config\.json: a checkpoint has a config\.json"):
        open_checkpoint(str(tmp_path / "empty"))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(variant: Variant, name: str) -> None:
    folder = variant()
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(UsageError, match=rf"{name} is no regular file but a pipe"):
        load_model(str(folder))


def test_a_tokenizer_that_does_not_fit_is_told_when_the_model_is_loaded(variant: Variant) -> None:
    from transformers import AutoTokenizer

    folder = variant()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["entirely-new"])
    tokenizer.save_pretrained(folder)
    last = len(tokenizer) - 1
    with pytest.raises(
        UsageError, match=rf"has tokens up to {last} \('entirely-new'\), but the model has word vectors for 0 to {last - 1}"
    ):
        load_model(str(folder))
    tokenizer = AutoTokenizer.from_pretrained(variant())
    tokenizer.add_special_tokens({"pad_token": "<beyond>"})
    tokenizer.save_pretrained(folder)
    with pytest.raises(UsageError, match=rf"has tokens up to {last} \('<beyond>'\)"):
        load_model(str(folder))
    tokenizer = AutoTokenizer.from_pretrained(variant(), mask_token=None)
    with pytest.raises(UsageError, match="predicts masked words, but its tokenizer has no mask token: name it"):
        check_tokenizer("m", tokenizer, 10**6, masked=True)
    check_tokenizer("m", tokenizer, 10**6, masked=False)


def test_a_revision_of_what_has_none_is_refused(tiny_bert: Path) -> None:
    with pytest.raises(UsageError, match="'agreement-bert' comes with flowgauge and has no revisions: leave the revision out"):
        open_checkpoint("agreement-bert", "main")
    with pytest.raises(UsageError, match="is a folder and has no revisions"):
        open_checkpoint(str(tiny_bert), "main")
    assert looks_like_path("./x") and not looks_like_path("org/x")


def test_weights_that_the_configuration_leaves_out_are_named(variant: Variant, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load_model(str(variant()))
    assert "left out" not in caplog.text
    with caplog.at_level(logging.WARNING):
        load_model(str(variant(num_hidden_layers=1)))
    assert "16 weights of its file have no place in its config.json and are left out (bert.encoder.layer.1." in caplog.text


def test_a_head_that_is_not_stated_is_asked_for_in_the_familys_own_words(variant: Variant) -> None:
    with pytest.raises(UsageError, match=r'"architectures": \["DebertaV2ForSequenceClassification"\], or \.\.\.ForMaskedLM'):
        load_model(str(variant(family="deberta-v2", architectures=None)))


def test_an_encoder_with_random_weights_is_not_trained_on(variant: Variant) -> None:
    with pytest.raises(
        UsageError, match=r"lacks weights of the encoder in the shapes of its config.json \(bert.embeddings.position"
    ):
        load_base(str(variant(max_position_embeddings=41)), ("no", "yes"))
    with pytest.raises(UsageError, match=r"\(albert.encoder.albert_layer_groups.0.albert_layers.0.ffn"):
        load_base(str(variant(family="albert", intermediate_size=40)), ("no", "yes"))


def test_a_loader_that_fails_in_any_way_is_told_in_one_line() -> None:
    class PanicException(BaseException):
        pass

    def panic() -> None:
        raise PanicException("a pattern\ngave up")

    def asks() -> None:
        raise ValueError("it contains custom code; pass trust_remote_code=True")

    with pytest.raises(UsageError, match="cannot load a tokenizer from 'm': a pattern gave up"):
        fetch(panic, "m", "a tokenizer")
    with pytest.raises(UsageError, match=r"code of its own \(auto_map\), and code that comes with a checkpoint is not run"):
        fetch(asks, "m")


def test_special_tokens_that_no_text_has_may_lie_beyond_the_table(variant: Variant) -> None:
    """As that for an image in the text models of Gemma 3."""
    from transformers import AutoTokenizer

    folder = variant()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    model = load_model(str(folder))
    plain, image = (Instance("i", (f"the author{text} [MASK] tall .",), ("is",), ("are",)) for text in ("", " <image>"))
    assert len(encode(model, [plain])) == 1
    with pytest.raises(
        UnfitSentence, match=r"the text of instance 'i' has the token '<image>', for which model .* has no vector"
    ):
        encode(model, [image])

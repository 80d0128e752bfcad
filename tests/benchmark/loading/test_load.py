"""`flowgauge.load_model` takes every name that a run takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import flowgauge
from flowgauge.benchmark.loading.load import load_model
from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.models.load import load_model as load_checkpoint


def test_a_folder_is_loaded_as_its_checkpoint(tiny_folder: Callable[..., Path]) -> None:
    model, plain = load_model(str(tiny_folder()), "float64"), load_checkpoint(str(tiny_folder()), "float64")
    assert model.fingerprint() == plain.fingerprint() and model.name == plain.name and model.dtype == torch.float64
    assert flowgauge.load_model is load_model


def test_embedded_and_built_models_have_their_names() -> None:
    assert load_model("agreement-bert").name == "agreement-bert"
    assert load_model("planted:depth=3").n_layers == 3


def test_what_cannot_be_loaded_is_refused(tiny_folder: Callable[..., Path]) -> None:
    with pytest.raises(UnknownName, match="agreement-bert"):
        load_model("./agreement-bert")
    with pytest.raises(UsageError, match="no dtype is called 'int8'"):
        load_model(str(tiny_folder()), "int8")
    with pytest.raises(UsageError, match="no device is called 'gpu'"):
        load_model(str(tiny_folder()), device="gpu")

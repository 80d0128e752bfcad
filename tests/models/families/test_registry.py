"""The registry names the families that are tested and documented, and refuses others."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from tests.models.conftest import FAMILIES as TESTED
from transformers import GPT2Config, GPT2LMHeadModel

from flowgauge.core.errors import UsageError
from flowgauge.models.families.registry import FAMILIES, model_parts

README = Path(__file__).parents[3] / "README.md"


def test_every_family_has_a_file_of_its_own_and_a_test() -> None:
    assert set(FAMILIES) == set(TESTED)
    for family, target in FAMILIES.items():
        assert target == f"{family}:{family}_parts"
        assert callable(getattr(importlib.import_module(f"flowgauge.models.families.{family}"), f"{family}_parts"))
        assert (Path(__file__).parent / f"test_{family}.py").is_file()


def test_the_readme_names_the_families_of_the_registry() -> None:
    (listed,) = re.findall(r"checkpoint: (.*?) with a head for", README.read_text().replace("\n", " "))
    assert sorted(re.split(r", | or ", listed.lower())) == sorted(FAMILIES)


def test_families_without_an_adapter_are_refused() -> None:
    with pytest.raises(UsageError, match="of family 'gpt2'; flowgauge has adapters for bert, distilbert, electra, roberta"):
        model_parts(GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=9)), "x")

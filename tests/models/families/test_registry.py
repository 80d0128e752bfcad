"""The registry names the families that are tested and documented, and refuses others."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from tests.models.conftest import FAMILIES as TESTED
from transformers import GPTJConfig, GPTJForCausalLM

from flowgauge.core.errors import UsageError
from flowgauge.models.families.registry import FAMILIES, model_parts

PAGE = Path(__file__).parents[3] / "docs" / "models.md"


def test_every_family_has_an_adapter_and_a_test() -> None:
    assert set(FAMILIES) == set(TESTED)
    for family, target in FAMILIES.items():
        module, function = target.split(":")
        assert callable(getattr(importlib.import_module(f"flowgauge.models.families.{module}"), function))
        room, file = module.split(".")
        assert f'"{family}"' in (Path(__file__).parent / room / f"test_{file}.py").read_text()


def test_the_documentation_names_the_families_of_the_registry() -> None:
    named = re.findall(r"^\| `([a-z0-9_-]+)` \|", PAGE.read_text().partition("## Which methods run")[0], re.M)
    assert named == sorted(FAMILIES)


def test_families_without_an_adapter_are_refused() -> None:
    with pytest.raises(UsageError, match=f"of family 'gptj'; flowgauge has adapters for {', '.join(sorted(FAMILIES))}"):
        model_parts(GPTJForCausalLM(GPTJConfig(n_layer=1, n_embd=8, n_head=2, vocab_size=9, rotary_dim=4)), "x")

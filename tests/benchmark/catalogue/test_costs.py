"""The measured costs: one for every built-in method, read without torch, and said in words."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from tests.conftest import ROOT

from flowgauge.benchmark.catalogue.costs import CostTable, MethodCost, cost_table, in_words
from flowgauge.methods.registry import METHODS


def test_every_builtin_method_has_a_measured_cost() -> None:
    table = cost_table()
    assert set(table.methods) == set(METHODS.builtin), "run python -m flowgauge.benchmark.speed.method_costs"
    assert all(0 < cost.low <= cost.ratio <= cost.high for cost in table.methods.values())
    assert (table.model, table.samples) == ("agreement-bert", 50) and table.repeats >= 3
    for name, target in METHODS.builtin.items():
        trained = "DiffMask" in target.replace("DiffMaskSingle", "") or name in ("ib-attribution", "information-mask")
        assert (table.methods[name].training is not None) == trained, name


def test_the_page_of_oracles_has_these_costs() -> None:
    page = (ROOT / "docs" / "oracles.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| \[([\w-]+)\]\(.*\| ([\d.e-]+) \|$", page, re.MULTILINE)
    assert len(told) == 17
    assert dict(told) == {name: f"{cost_table().methods[name].ratio:.2g}" for name, _ in told}


def test_costs_are_ordered_as_their_work_is() -> None:
    ratio = {name: cost.ratio for name, cost in cost_table().methods.items()}
    assert ratio["random"] < ratio["gradient-x-input"] < ratio["integrated-gradients"] < ratio["reinforce-mask"]
    assert ratio["attention-rollout"] < 1 < ratio["influence-patterns"]


def test_a_cost_in_words_leaves_out_what_is_not_known() -> None:
    assert in_words(MethodCost(ratio=120, low=120, high=120)) == "120 integrated-gradients passes"
    both = MethodCost(ratio=1.5, low=1, high=2, training=300)
    said = "1.5 integrated-gradients passes [1, 2], after one training of 300 passes for a single sentence"
    assert in_words(both) == said


def test_the_conditions_are_one_phrase() -> None:
    said = {"model": "m", "task": "t", "sentences": 8, "tokens": 11, "samples": 50, "repeats": 5, "training_sentences": 9}
    table = CostTable(**said, clock="CPU time", methods={})
    assert table.conditions == "CPU time, m, 8 sentences of 11 tokens, median of 5 repeats"


@pytest.mark.parametrize("module", ["costs", "facts"])
def test_the_catalogue_imports_no_torch(module: str) -> None:
    code = f"import sys, flowgauge.benchmark.catalogue.{module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert (done.stdout, done.stderr) == ("False\n", "")

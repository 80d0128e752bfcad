"""Each promise is caught when it is broken, and by the check that states it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
import torch

from flowgauge.benchmark.conformance import Finding, check_file, check_method, check_metric, check_task
from flowgauge.core.errors import UsageError
from flowgauge.core.registry import load_file
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.load import load_model

FILE = Path(__file__).with_name("broken.py")


@pytest.fixture(scope="module")
def plugins() -> ModuleType:
    return load_file(FILE)


@pytest.fixture
def model(tiny_bert: Path) -> FlowModel:
    """A model of the test's own: some plug-ins change it."""
    return load_model(str(tiny_bert), dtype="float64")


def broken(findings: Sequence[Finding]) -> set[str]:
    return {f.check for f in findings if not f.ok}


SHAPED = "one explanation an instance, shaped as declared"
ALONE, ORDER = "the same one instance at a time", "the same in any order"
METHODS = {
    "too_few": SHAPED,
    "other_views": SHAPED,
    "too_long": SHAPED,
    "forgetful": "the same a second time",
    "by_batch": ALONE,
    "by_place": ORDER,
    "by_padding": "the same with more padding",
    "cached": "the same from a batch with work cached on it",
    "overwrites": "batch unchanged",
    "meddles": "weights and random state unchanged",
    "reseeds": "weights and random state unchanged",
    "secretly_drawn": "the seed matters if and only if it is declared stochastic",
    "not_drawn": "the seed matters if and only if it is declared stochastic",
    "Rounds": "settings can be read back",
    "Computes": "settings can be read back",
    "Silent": "described",
    "unlucky": "explains",
}
TOO = {"forgetful": 7, "by_place": 2, "by_padding": 2, "cached": 1}
"""How many promises break at once, where it is more than one; `forgetful` breaks every repetition."""


def test_a_sound_method_keeps_every_promise(plugins: ModuleType, model: FlowModel) -> None:
    findings = check_method(plugins.sound, model)
    assert broken(findings) == set()
    assert len(findings) == 13


@pytest.mark.parametrize(("name", "check"), METHODS.items(), ids=METHODS)
def test_a_method_that_breaks_a_promise(name: str, check: str, plugins: ModuleType, model: FlowModel) -> None:
    found = broken(check_method(getattr(plugins, name), model))
    assert check in found
    assert len(found) == TOO.get(name, 1), found


METRICS = {
    "unbounded": "values within the bounds, NaN with a reason",
    "half": "rows of the right form",
    "in_order": "the same in any order",
    "by_shown_batch": "the same in batches of one",
    "drifting": "the same a second time",
    "scribbles": "explanations unchanged",
    "unranked": "the ranked variant is there",
    "untyped": "rows of the right form",
}


def test_a_sound_metric_keeps_every_promise(plugins: ModuleType, model: FlowModel) -> None:
    findings = check_metric(plugins.sound_metric, model)
    assert broken(findings) == set()
    assert findings[-2].detail.startswith("applied to random explanations, influence-patterns")


@pytest.mark.parametrize(("name", "check"), METRICS.items(), ids=METRICS)
def test_a_metric_that_breaks_a_promise(name: str, check: str, plugins: ModuleType, model: FlowModel) -> None:
    assert f"random explanations: {check}" in broken(check_metric(getattr(plugins, name), model))


TASKS = {
    "gapless": {"a gap in every masked instance and no other"},
    "restless": {"the same instances a second time", "ids mean the same with and without a limit"},
    "undecided": {"all instances name what stands against the answer, or none"},
    "Lopsided": {"the limit is kept and balanced over conditions", "the sample's seed matters"},
    "Seedless": {"the sample's seed matters"},
    "Unlimited": {"the limit is kept and balanced over conditions", "the sample's seed matters"},
    "Renumbered": {"ids mean the same with and without a limit", "the sample's seed matters"},
    "Twins": {"ids are unique", "the sample's seed matters"},
    "Listed": {"gives frozen instances", "the sample's seed matters"},
    "Agreeable": {"an unknown split is refused", "the sample's seed matters"},
}


def test_a_sound_task_keeps_every_promise(plugins: ModuleType) -> None:
    findings = check_task(plugins.sound_task)
    assert broken(findings) == set()
    assert len(findings) == 10


@pytest.mark.parametrize(("name", "checks"), TASKS.items(), ids=TASKS)
def test_a_task_that_breaks_a_promise(name: str, checks: set[str], plugins: ModuleType) -> None:
    assert broken(check_task(getattr(plugins, name))) == checks


def test_what_is_not_a_plug_in_is_told_what_it_lacks(model: FlowModel) -> None:
    (finding, *_) = check_method(type("Nothing", (), {"explain": print, "name": "nothing"}), model)
    assert (finding.check, finding.ok) == ("declared", False)
    assert "version" in finding.detail


def test_a_file_is_checked_plug_in_by_plug_in(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\nfrom flowgauge import explanations, method\n\n\n"
        '@method("ones", gives={"tokens"})\ndef ones(model, batch):\n    """Ones."""\n'
        "    return explanations(batch, tokens=torch.ones(batch.ids.shape))\n\n\n"
        '@method("drift", gives={"tokens"})\ndef drift(model, batch):\n    """Noise."""\n'
        "    return explanations(batch, tokens=torch.rand(batch.ids.shape))\n"
    )
    state = torch.get_rng_state()
    findings = check_file(file)
    torch.set_rng_state(state)
    assert Counter(f.check.partition(":")[0] for f in findings) == {"method ones": 13, "method drift": 13}
    assert all(f.ok for f in findings if "ones" in f.check)
    assert "method drift: the same a second time" in broken(findings)


def test_a_file_without_plug_ins_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(UsageError, match="declares no method, task or metric"):
        check_file(tmp_path / "empty.py")
    with pytest.raises(UsageError, match="there is no file"):
        check_file(tmp_path / "missing.py")

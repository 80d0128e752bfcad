"""All plug-ins of a file are checked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from tests.benchmark.conformance.conftest import broken

from flowgauge.benchmark.conformance import check_file
from flowgauge.benchmark.conformance.finding import UNCHANGED
from flowgauge.core.errors import UsageError


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
    assert torch.equal(torch.get_rng_state(), state)
    assert Counter(f.check.partition(":")[0] for f in findings) == {"method ones": 13, "method drift": 13}
    assert all(f.ok for f in findings if "ones" in f.check)
    assert f"method drift: {UNCHANGED}" in broken(findings)


def test_a_plug_in_that_cannot_be_built_or_ends_python_is_a_finding_and_the_others_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        'import os\nfrom flowgauge import Instance, method, task\n\n\n@method("unbuilt", gives={"tokens"})\nclass Unbuilt:\n'
        '    """None."""\n    def __init__(self, size):\n        self.size = size\n\n'
        '@task("leaves")\ndef leaves(seed):\n    """None."""\n    os._exit(0)\n'
    )
    findings = {f.check: f.detail for f in check_file(file) if not f.ok}
    assert list(findings) == ["method unbuilt: built with its defaults", "task leaves: gives instances"]
    assert findings["task leaves: gives instances"] == "it called os._exit, which ends Python at once (mine.py, line 14)"


def test_a_file_without_plug_ins_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(UsageError, match="declares no method, task or metric"):
        check_file(tmp_path / "empty.py")
    with pytest.raises(UsageError, match="there is no file"):
        check_file(tmp_path / "missing.py")

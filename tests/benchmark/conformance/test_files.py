"""All plug-ins of a file are checked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from tests.benchmark.conformance.conftest import broken

from flowgauge.benchmark.conformance import check_file
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

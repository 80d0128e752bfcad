"""Code of a plug-in neither ends the process, nor leaves it changed, nor fails in silence."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from flowgauge.core.errors import NotApplicable
from flowgauge.core.foreign_code import PluginFault, faults_in_words, foreign_code, is_foreign, is_users
from flowgauge.methods.attention.attention_paths import AttentionPaths


class Panic(BaseException):
    """What code in other languages raises."""


def call(line: str, file: Path) -> None:
    """Runs a line of a file."""
    file.write_text(line)
    exec(compile(line, str(file), "exec"), {"torch": torch, "os": os, "Panic": Panic})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("raise Panic('index out of range')", "index out of range (own.py, line 1)"),
        ("raise GeneratorExit", "it failed without a message (own.py, line 1)"),
        ("raise SystemExit(0)", "it ended Python with the exit code 0 (own.py, line 1)"),
        ("next(iter([]))", "an iterator has no more values (own.py, line 1)"),
        ("os._exit(0)", "it called os._exit, which ends Python at once (own.py, line 1)"),
        ("import posix; posix._exit(0)", "it called os._exit, which ends Python at once (own.py, line 1)"),
        ("os.execv('/bin/true', ['true'])", "it called os.execv, which ends Python at once (own.py, line 1)"),
        ("os.abort()", "it called os.abort, which ends Python at once (own.py, line 1)"),
        ("torch.ones(2) + torch.ones(3)", "must match the size"),
        ("torch.set_default_dtype(torch.float64)", "it changed torch's default dtype and left it so"),
        ("os.chdir('/'); torch.set_grad_enabled(False)", "it changed the working folder and torch's gradient mode"),
    ],
)
def test_every_fault_is_said_in_words_with_its_line(line: str, said: str, tmp_path: Path) -> None:
    end = os._exit
    with pytest.raises(PluginFault) as raised, foreign_code("a plug-in"):
        call(line, tmp_path / "own.py")
    assert said in str(raised.value) and "Error" not in str(raised.value)
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled() and os._exit is end


def test_an_interrupt_and_errors_of_flowgauge_pass() -> None:
    for error in (KeyboardInterrupt(), NotApplicable("no heads")):
        with pytest.raises(type(error)), foreign_code("a plug-in"):
            raise error


def test_random_states_and_threads_are_set_back_without_a_word() -> None:
    state, changed = torch.get_rng_state(), list[str]()
    with foreign_code("a plug-in"):
        torch.rand(3)
    with foreign_code("a plug-in", changed=changed):
        torch.rand(3)
        os.environ["SET_BY_A_LIBRARY"] = "1"
        torch.set_grad_enabled(False)
    assert torch.equal(torch.get_rng_state(), state) and torch.is_grad_enabled() and "SET_BY_A_LIBRARY" not in os.environ
    assert changed == ["torch's gradient mode", "a global random state"]


def test_processes_that_a_plug_in_starts_end_as_they_like() -> None:
    with foreign_code("a plug-in"):
        child = os.fork()
        if not child:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert subprocess.run(["true"]).returncode == 0


def test_the_line_that_is_named_is_the_plug_ins_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    said = r"shape '\[3\]' is invalid for input of size 2 \(own.py, line 1\)$"
    with pytest.raises(PluginFault, match=said), faults_in_words("method 'mine'", tmp_path / "own.py"):
        call("torch.ones(2).view(3)", tmp_path / "own.py")
    assert "method 'mine' failed" in caplog.text and "RuntimeError" in caplog.text


def test_what_is_foreign_and_whose_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    plugins: list[Any] = [AttentionPaths, AttentionPaths()]
    assert not any(map(is_foreign, plugins)) and is_foreign(Panic) and is_foreign(Panic())
    assert is_users(tmp_path / "a.py") and not is_users(tmp_path / "b.py")
    assert not is_users(Path(os.__file__)) and not is_users(Path(torch.__file__))

"""Names that the shell completes, as bash asks for them, without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flowgauge.cli import completion

CODE = """
import sys
from flowgauge.cli import main
sys.argv = ["flowgauge"]
try:
    main()
finally:
    heavy = {"torch", "transformers", "pandas", "matplotlib"} & set(sys.modules)
    assert not heavy, heavy
"""


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("info comp", ["comprehensiveness", "completeness_error"]),
        ("run --method diffmask-", ["diffmask-input", "diffmask-hidden", "diffmask-single"]),
        ("run --metric deletion", ["deletion_curve"]),
        ("run -t ra/", ["ra/na", "ra/ga"]),
        ("explain -m agr", ["agreement-bert", "agreement-bert-plain", "agreement-gpt2", "agreement-gpt2-plain"]),
        ("inf", ["info"]),
    ],
)
def test_bash_gets_the_names(words: str, names: list[str]) -> None:
    given = {"_FLOWGAUGE_COMPLETE": "complete_bash", "COMP_WORDS": f"flowgauge {words}", "COMP_CWORD": str(len(words.split()))}
    env = {"PYTHONPATH": ":".join(sys.path), **given}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=env)
    assert (done.stdout.split(), done.stderr) == (names, "")


def test_models_are_those_of_the_package_and_names_are_of_every_kind() -> None:
    embedded = ["agreement-bert", "agreement-bert-plain", "agreement-gpt2", "agreement-gpt2-plain"]
    assert completion.complete_model("") == [*embedded, "toy-counting", "sst-gru", "planted"]
    assert completion.complete_name("planted")[:2] == ["planted/relay", "planted/skip"]
    assert completion.complete_name("no such") == []

"""The notebooks run from top to bottom, without outputs in the repository, and end with what they promise."""

from __future__ import annotations

import nbformat
import pytest

from documentation.notebooks import NOTEBOOKS, executed

ANSWERS = {
    "is-my-method-better": "saliency is better than my-gradient on comprehensiveness: +0.0",
    "how-information-flows": "influence-patterns is better than random on retention_curve: +0.",
    "what-patterns-said": "On agreement-bert, *that* is not an attractor in the singular.",
}
"""A sentence that a reader finds in the outputs of each."""


def test_notebooks_are_kept_without_outputs() -> None:
    cells = [cell for path in NOTEBOOKS.glob("*.ipynb") for cell in nbformat.read(path, as_version=4).cells]
    assert len(cells) > 15
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", ANSWERS)
def test_a_notebook_runs_and_answers_its_question(name: str) -> None:
    outputs = [output for cell in executed(NOTEBOOKS / f"{name}.ipynb").cells for output in cell.get("outputs", [])]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert ANSWERS[name] in printed
    assert any("image/svg+xml" in output.get("data", {}) for output in outputs)
    assert any("text/html" in output.get("data", {}) for output in outputs)

"""Runs the notebooks of docs/notebooks and turns them into pages. What was run is kept until the notebook or the code changes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "docs" / "notebooks"
KEPT = ROOT / "results" / "notebooks"
SECONDS = 300
"""The longest that a cell may take."""


def executed(path: Path) -> Any:
    """A notebook with its outputs, run from top to bottom in an empty folder; what goes to stderr, such as progress, is left out.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown with a link to the notebook itself, and its pictures by file name."""
    kept = KEPT / f"{path.stem}-{_state(path)}.ipynb"
    if not kept.is_file():
        KEPT.mkdir(parents=True, exist_ok=True)
        nbformat.write(executed(path), kept)
    notebook = nbformat.read(kept, as_version=4)
    text, resources = MarkdownExporter().from_notebook_node(notebook, {"unique_key": path.stem, "output_files_dir": "."})
    pictures = {Path(name).name: data for name, data in resources["outputs"].items()}
    title, _, body = text.lstrip().partition("\n")
    return f"{title}\n\n[Download the notebook]({path.name}){{ download }}\n{body}", pictures


def _state(path: Path) -> str:
    """What the outputs of a notebook depend on, as a short checksum: the notebook and the code of the package."""
    digest = hashlib.sha256(path.read_bytes())
    for folder in ("src/flowgauge/display", "benchmark", "leaderboards", "methods", "metrics", "models", "tasks"):
        for source in sorted((ROOT / folder).rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:12]

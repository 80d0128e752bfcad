"""What the README and the other pages show works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.packaging.test_blocks import blocks_of
from typer.testing import CliRunner

from flowgauge.benchmark.conformance import check_file, failed
from flowgauge.benchmark.engine.plan import Plan
from flowgauge.benchmark.engine.resolve import check_names, model_of
from flowgauge.benchmark.loading.model_handle import check_model
from flowgauge.cli import app
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS
from flowgauge.tasks.registry import load_task

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BUILT = {
    *(ROOT / "docs" / "methods" / f"{name}.md" for name in ("index", *METHODS.builtin)),
    *(ROOT / "docs" / "metrics" / f"{name}.md" for name in ("index", *METRICS.builtin)),
    *(path.with_suffix(".md") for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")),
    ROOT / "docs" / "api.md",
    ROOT / "docs" / "tasks-and-models.md",
}
"""Pages that `make docs` writes from the code (scripts/documentation)."""


def test_the_readme_is_read_in_minutes() -> None:
    assert README.count("\n") <= 120


def test_the_method_in_the_readme_keeps_every_promise(tmp_path: Path) -> None:
    (block,) = re.findall(r'^```python title="my_method.py"\n(.*?)^```$', README, re.MULTILINE | re.DOTALL)
    assert block.count("\n") <= 15
    (tmp_path / "my_method.py").write_text(block)
    findings = check_file(tmp_path / "my_method.py")
    assert not failed(findings)
    assert len(findings) == 13


@pytest.mark.parametrize(("page", "least"), [("README.md", 6), ("docs/measurements.md", 10), ("docs/publishing.md", 14)])
def test_every_command_of_a_page_exists(page: str, least: int) -> None:
    """Each subcommand and each of its options is known, options on continued lines included."""
    runner = CliRunner()
    text = "\n".join(block.text for block in blocks_of(page) if block.language == "bash").replace("\\\n", " ")
    lines = re.findall(r"^flowgauge (leaderboard [\w-]+|[\w-]+)(.*?)(?:#.*)?$", text, re.MULTILINE)
    assert len(lines) >= least
    for command, rest in lines:
        result = runner.invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
        assert result.exit_code == 0, command
        for option in re.findall(r"(?<!\S)--[a-z-]+", rest):
            assert option in result.output, f"flowgauge {command} {option}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / page).read_text())
    targets = {link: ((ROOT / page).parent / link).resolve() for link in links if not link.startswith("http")}
    assert [link for link, target in targets.items() if not target.exists() and target not in BUILT] == []


@pytest.mark.parametrize("name", ["demo", "tiny"])
def test_the_plans_name_what_exists(name: str) -> None:
    plan = check_names(Plan.load(ROOT / "benchmark" / "plans" / f"{name}.yaml"))
    assert [task.name for task in plan.tasks] == ["sva/obj", "sva/subj", "sva/wsc", "sva/app", "ra/na", "ra/ga"]
    untrained = {name for name in METHODS.builtin if "training" not in METHODS.create(name).needs}  # training takes minutes
    untrained -= {"edge-patching"}  # a run for each edge
    expected = untrained if name == "tiny" else {"influence-patterns", "attention", "conductance", "random"}
    assert expected <= {method.name for method in plan.methods}


def test_the_plan_of_planted_paths_names_what_exists_and_each_task_brings_its_own_model() -> None:
    plan = check_names(Plan.load(ROOT / "benchmark" / "plans" / "planted.yaml"))
    models = {model_of(plan, load_task(task)) for task in plan.tasks}
    assert len(models) == len(plan.tasks) == 24
    for model in models:
        check_model(model)

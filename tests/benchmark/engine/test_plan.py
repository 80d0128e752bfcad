"""Plans from files and flags, keys and names."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.benchmark.conftest import PLUGINS

from flowgauge.benchmark.engine.plan import Plan
from flowgauge.benchmark.engine.resolve import check_names
from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.core.registry import Spec

TASK, METHOD = f"{PLUGINS}:splits", f"{PLUGINS}:amortised"


@pytest.fixture
def plan(make_plan, tmp_path):
    def make(method: str = METHOD, **fields):
        return make_plan(tasks=[TASK], methods=[method], fit_limit=8, **fields)

    return make


def test_flags_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("tasks: sva/obj\nmethods:\n  - attention\n  - {name: influence-patterns, beam: 4}\nlimit: 10\nseeds: 3\n")
    plan = Plan.load(path, limit=20, model=None)
    assert plan.limit == 20 and plan.seeds == (3,) and plan.model is None
    assert plan.methods == (Spec("attention", {}), Spec("influence-patterns", {"beam": 4}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tasks: sva/obj\nmethds: x", "no field of a plan is called 'methds': did you mean methods"),
        ("tasks: sva/obj\nlimit: 0", "limit: Input should be greater than 0, got 0"),
        ("tasks: sva/obj\ndtype: float8", "dtype: Input should be 'float32', 'float64', 'bfloat16' or 'float16', got 'float8'"),
        ("tasks: []", "tasks"),
        ("limit: 3", "tasks is missing"),
        ("tasks: [a\nlimit: 3", "plan.yaml, line 2: not YAML"),
        ("- a", "must be a mapping"),
        ("methods: [{beam: 3}]\ntasks: x", "needs the key `name`"),
    ],
)
def test_faults_in_a_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as found:
        Plan.load(path)
    assert said in str(found.value) and "\n" not in str(found.value)


def test_plans_that_come_with_the_package() -> None:
    demo = check_names(Plan.load("demo", limit=2))
    assert len(demo.tasks) == 6 and demo.limit == 2
    with pytest.raises(UnknownName, match="did you mean demo"):
        Plan.load("demoo")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        Plan.load(tmp_path / "none.yaml")


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_that_no_generator_takes_are_refused(plan, seed) -> None:
    with pytest.raises(UsageError, match=rf"seeds\.0: .* got {seed}"):
        plan(seeds=(seed,))


def test_an_empty_plan_is_refused_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("# nothing yet\n")
    with pytest.raises(UsageError, match=r"plan\.yaml is empty: write at least a line with tasks"):
        Plan.load(path)


def test_paths_of_pathlib_are_paths(tmp_path: Path) -> None:
    names = {"model": tmp_path / "model", "store": tmp_path / "store", "data_dir": tmp_path}
    text = Plan.make(tasks=str(tmp_path / "a.tsv"), **{field: str(path) for field, path in names.items()})
    assert Plan.make(tasks=[tmp_path / "a.tsv"], **names) == Plan.make(tasks=tmp_path / "a.tsv", **names) == text


def test_a_memory_budget_is_a_size():
    assert Plan.make(tasks="sva/obj").memory == "4GiB" and Plan.make(tasks="sva/obj", memory="2 GB").memory == "2 GB"
    assert Plan.make(tasks="sva/obj", memory=2**30).memory == str(2**30)
    for size in ("much", "1KiB", 0):
        with pytest.raises(UsageError, match="memory budget"):
            Plan.make(tasks="sva/obj", memory=size)

"""Names of a plan: globs, near matches, and that they are checked without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowgauge.benchmark.engine.plan import Plan
from flowgauge.benchmark.engine.resolve import check_names, draw, resolve
from flowgauge.benchmark.engine.run import run
from flowgauge.core.errors import UnknownName, UsageError


@pytest.fixture
def plan(make_plan: Callable[..., Plan], tiny_folder: Callable[..., Path], tiny_data: Path) -> Callable[..., Plan]:
    """A small plan for the tiny classifier on SST-2 in miniature."""

    def make(**fields: Any) -> Plan:
        model = str(tiny_folder("bert", "label"))
        return make_plan(**{"model": model, "tasks": "sst2", "data_dir": str(tiny_data), "limit": None, **fields})

    return make


@pytest.mark.parametrize(
    ("fields", "near"),
    [
        ({"tasks": "sva/objj"}, "sva/obj"),
        ({"methods": "atention"}, "attention"),
        ({"metrics": "ablated_acuracy"}, "ablated_accuracy"),
        ({"tasks": "sva/x*"}, "sva/"),
        ({"model": "./agreement-bert"}, "agreement-bert"),
    ],
)
def test_unknown_names_have_near_matches(fields: dict[str, str], near: str) -> None:
    with pytest.raises(UnknownName, match=near):
        check_names(Plan.make(**{"tasks": "sva/obj", **fields}))


def test_globs() -> None:
    plan = check_names(Plan.make(tasks=["sva/*", "sva/obj", "ra/na"]))
    assert [s.name for s in plan.tasks] == ["sva/obj", "sva/subj", "sva/wsc", "sva/app", "ra/na"]


def test_a_limit_counts_what_is_short_enough(
    make_plan: Callable[..., Plan], mixed_lengths: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = make_plan(tasks=str(mixed_lengths), limit=3, max_tokens=8)
    (sample,) = resolve(plan).tasks
    assert len(sample.instances) == 3 and {len(i.segments[0].split()) for i in sample.instances} == {5}
    assert caplog.messages == ["4 of 8 instances have more than 8 tokens and are left out; those that stay are sampled."]
    assert {len(i.segments[0].split()) for i in draw(plan, plan.tasks[0]).instances} == {5, 9}
    with pytest.raises(UsageError) as caught:
        resolve(make_plan(tasks=str(mixed_lengths), limit=3, max_tokens=2))
    assert str(caught.value) == (
        "none of the 8 instances has at most 2 tokens: the shortest has 7, so --max-tokens must be at least that."
    )


def test_names_are_checked_without_torch() -> None:
    code = (
        "import sys\nfrom flowgauge.benchmark.engine.plan import Plan\n"
        "from flowgauge.benchmark.engine.resolve import check_names, draw, resolve\n"
        "from flowgauge.benchmark.engine import jobs\n"
        "from flowgauge.benchmark.loading import model_fingerprint\n"
        "from flowgauge.benchmark.store import store, record, results, key, explanation_file\n"
        "check_names(Plan.make(tasks='sva/*'))\nassert not {'torch', 'transformers'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""


def test_a_data_folder_that_no_task_reads_is_refused(plan: Callable[..., Plan]) -> None:
    with pytest.raises(UsageError, match=r"a data folder \(.*\) is given, but no task reads one"):
        run(plan(tasks="sva/obj"))

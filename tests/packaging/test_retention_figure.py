"""The script behind the page on ablation in distribution: it draws stored curves and puts both models into one cell."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

from flowgauge.benchmark.engine.plan import Plan
from flowgauge.benchmark.engine.resolve import resolve

FIGURES = Path(__file__).resolve().parents[2] / "docs" / "figures"


def record(script: dict[str, Any], model: str, task: str, method: str, value: float) -> SimpleNamespace:
    """A record with every number of the page; areas grow with the place of the operator."""
    aggregate = lambda number: lambda variant: SimpleNamespace(value=number)  # noqa: E731
    scores = {
        f"{name} {operator}": SimpleNamespace(name=name, settings={"operator": operator}, aggregate=aggregate(value + place / 10))
        for name in ("retention_curve", "ablated_accuracy", "ablation_shift")
        for place, operator in enumerate(script["OPERATORS"])
    }
    return SimpleNamespace(model=model, task=task, method=method, scores=scores)


def test_both_models_stand_in_one_cell_and_their_curves_in_one_picture(tmp_path: Path) -> None:
    script = runpy.run_path(str(FIGURES / "retention.py"))
    records = [
        record(script, model, task, method, 0.25 * (1 + place))
        for place, model in enumerate(script["MODELS"])
        for task in script["TASKS"]
        for method in script["METHODS"]
        if (task, method) != ("ra/ga", "attention")
    ]
    lines = script["tables"](records, records)
    assert f"| conductance {'| 0.25 / 0.50 ' * 6}|" in lines
    assert any(line.startswith("| attention |") and line.endswith("| - / - |") for line in lines)
    assert "| random | 0.25 / 0.50 | 0.35 / 0.60 | 0.45 / 0.70 | 0.55 / 0.80 | 0.65 / 0.90 |" in lines
    assert "| sva/obj | zero | mean | resample | mask | cut |" in lines
    assert not any(line.startswith("| ra/ga | zero") for line in lines)  # attention has no number there
    drawn = [tmp_path / f"{n}.svg" for n in range(2)]
    for path in drawn:
        script["draw"](records, path)
    assert drawn[0].read_bytes() == drawn[1].read_bytes()
    text = "".join(ElementTree.parse(drawn[0]).getroot().itertext())
    assert all(word in text for word in (*script["TASKS"], *script["DRAWN"], "accuracy"))


def test_the_plans_of_the_page_have_what_the_script_reads() -> None:
    script = runpy.run_path(str(FIGURES / "retention.py"))
    retention, operators = (resolve(Plan.load(FIGURES / name)) for name in ("retention.yaml", "operators.yaml"))
    for plan, tasks in ((retention, "TASKS"), (operators, "OPERATOR_TASKS")):
        assert {sample.spec.name for sample in plan.tasks} == {*script[tasks]}
        assert {*script["METHODS"]} == {spec.name for spec, _ in plan.methods}
    assert {m.operator for m in operators.metrics if m.name == "retention_curve"} == {*script["OPERATORS"]}
    assert {m.name for m in retention.metrics} == {"ablated_accuracy", "retention_curve"}

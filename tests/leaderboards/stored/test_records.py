"""The records of a store, and what is said where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UsageError
from flowgauge.core.plugin_docs import plugin_docs
from flowgauge.leaderboards.stored.comparable_cells import method_labels
from flowgauge.leaderboards.stored.records import ORDERING, shown_method, stored_records
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS

from ..conftest import keep, record, score


def test_all_records_are_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    for method in ("attention", "random"):
        keep(store, record(method))
    assert {r.method for r in stored_records(store.url)} == {"attention", "random"}


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"has no results yet; `flowgauge run \.\.\. --store"):
        stored_records(str(tmp_path / "empty"))


def test_what_orders_methods_is_what_flowgauge_declares(tmp_path: Path) -> None:
    """A score that is not applicable once turned the table upside down."""
    store = Store(str(tmp_path / "store"))
    false = {"ranked": "top/20", "higher_is_better": False, "unit": "apples"}
    reason = {"status": "not-applicable", "reason": "it has no nodes."}
    keep(
        store,
        record(
            "attention", [score("comprehensiveness", {"aopc": 0.5}, **false), score("ablated_accuracy", {}, **false, **reason)]
        ),
    )
    keep(store, record("random", [score("mine", {"x": 0.5}, **false)]))
    scores = {s.name: s for r in stored_records(store.url) for s in r.scores.values()}
    told = {name: (s.ranked, s.higher_is_better, s.unit) for name, s in scores.items()}
    assert told == {
        "comprehensiveness": ("aopc", True, "probability"),
        "ablated_accuracy": ("", True, "share of instances"),
        "mine": ("top/20", False, "apples"),
    }


def test_every_metric_declares_in_its_file_what_it_is() -> None:
    for name, target in METRICS.builtin.items():
        metric = METRICS.create(name)
        assert {field: plugin_docs(target).declared[field] for field in ORDERING} == {
            field: getattr(metric, field) for field in ORDERING
        }
        assert plugin_docs(target).declared.get("version", 1) == metric.version


def test_another_method_of_the_same_name_is_marked() -> None:
    own = METHODS.create("attention").version
    methods = {"own": {"version": own}, "early": {}, "newer": {"version": 9}, "foreign": {"version": own, "source": "ab"}}
    one = record("attention")
    cells = {
        text: one.model_copy(update={"key": {**one.key, "method": {"name": "attention", **method}}})
        for text, method in methods.items()
    }
    shown = {text: shown_method(cell) for text, cell in cells.items()}
    assert shown == {"own": "attention", "early": "attention", "newer": "attention@9", "foreign": "attention (other code)"}
    assert method_labels([cells["foreign"], cells["own"]]) == ("attention (other code)", "attention")


def test_a_store_of_damaged_records_is_not_called_empty(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    keep(store, record("attention"))
    next(tmp_path.rglob("record.json")).write_text("{")
    with pytest.raises(UsageError, match=r"has results \(1 record.json\), but none that can be read"):
        stored_records(store.url)

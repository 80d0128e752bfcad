"""Files of papers: those of the package are whole and run what exists, and a damaged one is refused with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowgauge.benchmark.engine.plan import Plan
from flowgauge.benchmark.reproduction.paper import PAPERS, load_paper
from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.core.registry import Spec
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS

NAMES = sorted(path.stem for path in PAPERS.glob("*.toml"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quick", [False, True])
def test_every_paper_names_plug_ins_settings_and_fields_that_exist(name: str, quick: bool) -> None:
    for run in load_paper(name).runs:
        for spec in run.methods_of(quick).values():
            assert METHODS.create(Spec.parse(spec)).name == Spec.parse(spec).name
        for spec in run.metrics_of(quick).values():
            assert METRICS.create(Spec.parse(spec)).scope != "cells"
        assert Plan.make(**{**run.plan, **(run.quick if quick else {})}).tasks


@pytest.mark.parametrize("name", NAMES)
def test_every_number_says_where_it_stands_and_reads_stored_numbers(name: str) -> None:
    places = list(load_paper(name).places())
    assert len(places) > 10
    assert all(row.place or table.place for table, row, _, _ in places)
    assert all("{" not in source.variant and source.task for _, _, _, sources in places for source in sources)


def test_the_means_of_table_1_give_the_gains_that_its_file_has() -> None:
    paper = load_paper("influence-patterns")
    table, gains, *_ = paper.tables
    rows = {row.title: [float(number) for number in row.published] for row in table.rows}

    def gain(columns: int, *others: str) -> float:
        means = {name: sum(rows[name][:columns]) / columns for name in ("Pi_+^e", *others)}
        return means["Pi_+^e"] / (sum(means[name] for name in others) / len(others)) - 1

    layers = ("conductance", "internal influence")
    expected = [[gain(7, "attention"), gain(6, "attention")], [gain(7, *layers), gain(6, *layers)]]
    assert [[row.published[0], row.published[2]] for row in gains.rows] == [[round(g, 2) for g in both] for both in expected]


def test_columns_write_out_what_rows_leave_open(toy_paper: Path) -> None:
    (_, row, column, (source,)), *_ = load_paper(toy_paper).places()
    assert (row.title, column.title, source.run, source.task) == ("near everything", "obj", "agreement", "sva/obj")


def test_a_number_that_is_not_published_has_no_place(toy_paper: Path) -> None:
    assert [column.title for _, row, column, _ in load_paper(toy_paper).places() if row.title == "by size"] == ["obj"]


def test_an_unknown_paper_is_refused_with_near_names() -> None:
    with pytest.raises(UnknownName, match=r"did you mean influence-patterns\?.*ending in \.toml"):
        load_paper("influence-pattern")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[[runs]]", "[[runs", "is not TOML"),
        ('method = "raw", metric', 'method = "row", metric', "reads a method 'row', which run 'agreement' does not have"),
        ('run = "agreement", task = "*"', 'run = "agrement", task = "*"', "reads a run 'agrement', which there is not"),
        ('metric = "sufficient"', 'metric = "suffices"', "reads a metric 'suffices'"),
        ("published = [0.5, 0.1]", "published = [0.5]", "has 1 numbers for 2 columns"),
        ('["> 1"]', '["about 1"]', "a bound such as '> 0'"),
        ('["> 1"]', '["> 1.2.3"]', "a bound such as '> 0'"),
        ('variant = "aopc" }]', 'variant = "{k}" }]', "has no word for '{k}'"),
        ('title = "claims"', 'titel = "claims"', "titel: Extra inputs are not permitted"),
        ('combine = "mean"', 'combine = "value"', "reads all tasks, and 'value' is of one"),
        ('methods = { raw = "raw-attention" }', "methods = {}", "methods: Dictionary should have at least 1 item"),
        ('loo = ""', 'lou = ""', "changes 'lou' for --quick"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(toy_paper: Path, tmp_path: Path, old: str, new: str, said: str) -> None:
    damaged = tmp_path / "paper.toml"
    damaged.write_text(toy_paper.read_text().replace(old, new, 1))
    with pytest.raises(UsageError) as refused:
        load_paper(damaged)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the paper"):
        load_paper(tmp_path / "none.toml")

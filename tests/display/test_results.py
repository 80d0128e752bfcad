"""Results as Python and a notebook show them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.leaderboards.synthetic import synthetic_store

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.display.results import Results

from .test_page import Page

FIXTURE = str(Path(__file__).parents[1] / "fixtures" / "store-3")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Results:
    url = synthetic_store(tmp_path_factory.mktemp("made"), 3, 2, 1)
    return Results(url, tuple(Store(url).records()))


@pytest.fixture(scope="module")
def real() -> Results:
    return Results(FIXTURE, tuple(Store(FIXTURE).records()))


def test_repr_is_short_and_says_what_there_is(real, made):
    assert repr(real).startswith(f"Results(2 cells in {FIXTURE!r}, 2 done; tasks: sva/obj; methods: attention, diffmask-single")
    assert all(len(repr(results)) < 800 and "\n" not in repr(results) for results in (real, made))
    assert repr(real).endswith("; scored with 1 metric)")
    assert repr(Results("nowhere", ())) == "Results(0 cells in 'nowhere', none)"


def test_metrics_may_be_named_as_in_the_table(made):
    for name in dict.fromkeys(made.to_pandas().metric):
        plain = name.partition("@")[0]
        assert [each.rows() for each in made.rankings(name)] == [each.rows() for each in made.rankings(plain)]
        assert {each.metric for each in made.rankings(name)} == {plain}
    with pytest.raises(UnknownName, match="metric of these results"):
        made.rankings(f"{made.metrics[0]}@99")


def test_the_table_is_tidy(made):
    frame = made.to_pandas()
    assert {"model", "task", "method", "metric", "variant", "value", "low", "high", "count"} <= set(frame.columns)
    assert set(frame.task) == set(made.tasks) and set(frame.method) == set(made.methods)


def test_the_page_has_the_numbers_of_the_rankings(made):
    page = Page(made._repr_html_())
    assert [label["text"] for label in page.all("label")] == made.metrics
    cells = [cell["text"] for cell in page.elements if cell["tag"] in ("td", "th")]
    for metric in made.metrics:
        for each in made.rankings(metric):
            for row in each.rows()[1:]:
                at = [i for i in range(len(cells)) if tuple(cells[i : i + len(row)]) == row]
                assert at, row
    ids = [element["id"] for element in page.elements if "id" in element]
    assert len(ids) == len(set(ids)) and page.all("script") == []


def test_explanations_come_in_the_tasks_order(real):
    cell = real.cell(next(record for record in real.records if record.method == "attention"))
    names = list(cell.sentences())
    explained = real.explanations("attention")
    for name, explanation in zip(names, explained, strict=True):
        np.testing.assert_array_equal(explanation.edges, cell.explanations([name])[0][0].edges)
    assert len(explained) == real.records[0].instances
    predicted = real.explanations("attention", "sva/obj", seed=0, label="predicted")
    assert len(predicted) == len(explained)


def test_a_seed_is_that_of_its_cell(real):
    first, second = (real.records[0].model_copy(update={"seed": seed}) for seed in (3, 4))
    seeded = Results(real.store, (first, second))
    assert len(seeded.explanations(first.method)) == len(seeded.explanations(first.method, seed=4)) == first.instances
    with pytest.raises(UnknownName, match="seed of attention in these results is called '9': known: 3, 4"):
        seeded.explanations(first.method, seed=9)
    with pytest.raises(UsageError, match="have 2 cells of attention"):
        Results(real.store, (first, first)).explanations("attention")


def test_what_is_not_there_is_refused_by_name(real, made):
    with pytest.raises(UnknownName, match="did you mean attention"):
        real.explanations("atention")
    with pytest.raises(UnknownName, match="sva/obj"):
        real.explanations("attention", "sva/obk")
    with pytest.raises(UsageError, match="of 2 tasks: name one of"):
        made.explanations(made.methods[0])
    with pytest.raises(UnknownName, match="metric of these results"):
        made.plot("nope")


def test_the_picture_has_a_point_with_its_interval_for_every_method(made):
    figure = made.plot()
    assert len(figure.axes) == 2
    for axes, each in zip(figure.axes, made.rankings(), strict=True):
        line = axes.lines[0]
        np.testing.assert_allclose(line.get_xdata(), each.ranking.means[:, 0])
        assert [label.get_text() for label in axes.get_yticklabels()] == list(each.ranking.scores.methods)
        ends = axes.collections[0].get_segments()
        np.testing.assert_allclose([[a[0], b[0]] for a, b in ends], each.ranking.means[:, 1:])


def test_no_scores_are_said_to_be_none():
    empty = Results("nowhere", ())
    assert "There are no scores." in empty.to_html() and empty.rankings() == []
    with pytest.raises(UsageError, match="no scores to draw"):
        empty.plot()

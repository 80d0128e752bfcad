"""The browser of instances: which are chosen, what the page reads, and the drawing of an example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.leaderboards.conftest import TOKENS, keep, record, sentence
from tests.leaderboards.site.conftest import Page

from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.site.instances import balanced, browse
from flowgauge.leaderboards.stored.comparable_cells import groups
from flowgauge.leaderboards.submission.board_reader import open_board
from flowgauge.methods.explanation import Explanation


def test_conditions_take_turns() -> None:
    assert balanced([("a", "S"), ("b", "S"), ("c", "P"), ("d", "P")], 3) == ["a", "b", "c"]
    assert balanced([("a", "S"), ("b", "S"), ("c", "S"), ("d", "P")], 2) == ["a", "d"]


def test_a_page_reads_word_scores_or_the_reason_why_there_are_none(drawn_store: str) -> None:
    reader = open_board([drawn_store])
    (group,) = groups(reader.records)
    data = browse(reader, group, "", 2).as_data()
    assert data["metric"] == "" and [instance["id"] for instance in data["instances"]] == ["a", "c"]
    methods = {method["label"]: method for method in data["instances"][0]["methods"]}
    assert methods["influence-patterns"]["tokens"] == [0.04, 2.0, 0.0, -0.5]
    assert methods["attention"]["reason"] == "the method gives edges, which do not score single words."
    assert data["instances"][1]["correct"] is False and data["instances"][0]["tokens"] == TOKENS


def test_an_example_of_a_mask_is_drawn_as_by_plot(tmp_path: Path) -> None:
    store, mask = Store(str(tmp_path / "masked")), np.random.default_rng(0).random((3, 4))
    keep(store, record("diffmask-input", instances=1), [sentence("a")], [Explanation(mask=mask, fill=np.zeros((1, 3)))])
    reader = open_board([store.url])
    (group,) = groups(reader.records)
    figure = browse(reader, group, "", 5).example("diffmask-input")
    assert figure is not None
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), mask, atol=1e-3)
    assert browse(reader, group, "", 5).example("another") is None


@pytest.mark.parametrize("limit", [0, 5])
def test_a_limit_of_zero_browses_nothing(drawn_store: str, limit: int) -> None:
    reader = open_board([drawn_store])
    (group,) = groups(reader.records)
    assert len(browse(reader, group, "", limit).sentences) == min(limit, 3)


def test_instances_show_the_stored_explanations(real_site) -> None:
    store, folder = real_site
    page = Page(next(iter(folder.glob("instances/*.html"))))
    data = page.data[0]
    assert len(data["instances"]) == 8
    reader = open_board([store])
    gradients = next(r for r in reader.records if r.method == "integrated-gradients")
    first = data["instances"][0]
    stored = reader.find(gradients).explanations([first["id"]])[0][0].tokens
    shown = next(one for one in first["methods"] if one["method"] == "integrated-gradients")
    assert shown["tokens"] == pytest.approx(stored.tolist(), rel=1e-3)

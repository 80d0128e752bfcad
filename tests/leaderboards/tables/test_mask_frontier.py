"""F1 against the share masked, over margins and seeds."""

from __future__ import annotations

import numpy as np
import pytest
from tests.leaderboards.conftest import frontier_point as point
from tests.leaderboards.conftest import record

from flowgauge.leaderboards.stored.comparable_cells import groups
from flowgauge.leaderboards.tables.mask_frontier import mask_frontiers


def test_points_are_by_margin_and_seed_in_order_of_the_share_and_f1_is_read_between_them() -> None:
    cells = [point(0.1, 0, 0.6, 0.3), point(0.01, 0, 0.2, 0.5), point(0.1, 1, 0.4, 0.4), point(0.01, 1, 0.3, 0.4)]
    cells += [point("flips:.05", 1, 0.5, 0.1), record("random", seed=0), point(0.1, 0, 0.6, 0.3, "diffmask-input")]
    (frontier,) = mask_frontiers(groups(cells)[0])
    assert (frontier.label, frontier.margins, frontier.seeds) == ("diffmask-hidden", ("0.01", "0.1", "flips:.05"), (0, 1))
    assert frontier.whole == 0.5
    np.testing.assert_allclose(frontier.at(0.45), [0.5 - 0.2 * 0.25 / 0.4, 0.25])
    assert np.isnan(frontier.at(0.55)).tolist() == [False, True], "not beyond the points of a seed"
    table = frontier.means()
    np.testing.assert_allclose(table["share"], [0.25, 0.5, 0.5])
    np.testing.assert_allclose(table["f1_sd"][:2], [np.std([0.5, 0.4], ddof=1), np.std([0.3, 0.4], ddof=1)])
    assert table["seeds"].tolist() == [2, 2, 1] and np.isnan(table["f1_sd"][2])


@pytest.mark.parametrize("other", ["l0", "log"])
def test_trainings_that_differ_in_more_than_the_margin_are_on_curves_of_their_own(other) -> None:
    cells = [point(margin, 0, margin, 0.5 - margin, penalty=penalty) for margin in (0.1, 0.2) for penalty in ("log", other)]
    found = mask_frontiers(groups(list({cell.cell: cell for cell in cells}.values()))[0])
    expected = ["diffmask-hidden:penalty=log", "diffmask-hidden:penalty=l0"] if other == "l0" else ["diffmask-hidden"]
    assert [frontier.label for frontier in found] == expected

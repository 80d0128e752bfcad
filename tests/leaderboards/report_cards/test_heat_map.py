"""The heat map names every metric and prints every correlation that is defined."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flowgauge.leaderboards.report_cards.heat_map import correlation_figure


def test_every_defined_correlation_is_printed() -> None:
    names = ["a", "b$", "c"]
    values = np.array([[1, -0.87, np.nan], [-0.87, 1, 0.5], [np.nan, 0.5, 1]])
    figure = correlation_figure(pd.DataFrame(values, index=names, columns=names))
    axes = figure.axes[0]
    printed = {text.get_position(): text.get_text() for text in axes.texts}
    assert printed == {(1, 0): "-87", (0, 1): "-87", (2, 1): "50", (1, 2): "50"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", r"b\$", "c"]
    assert np.ma.getmaskarray(axes.images[0].get_array()).sum() == 2

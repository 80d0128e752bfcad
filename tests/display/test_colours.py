"""Shades of scores."""

from __future__ import annotations

from flowgauge.display.colours import is_faint, shade


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_shades_grow_from_white_and_dark_letters_are_readable_on_all():
    for sign in (1, -1):
        levels = [_luminance(shade(sign * share / 10)) for share in range(11)]
        assert levels == sorted(levels, reverse=True) and levels[0] == 1.0
        assert (levels[-1] + 0.05) / 0.05 > 4.5  # contrast of black letters, as WCAG asks of small text


def test_what_is_beyond_the_largest_takes_the_full_colour_and_small_scores_none():
    assert shade(7.0) == shade(1.0) != shade(-1.0)
    assert is_faint(0.03) and is_faint(-0.03) and not is_faint(-0.05)

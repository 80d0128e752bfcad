"""The page of the Python API has every public name once, under a heading that says what it is for."""

from __future__ import annotations

import flowgauge
from documentation.api_page import GROUPS, api_page


def test_every_public_name_stands_in_one_group() -> None:
    names = [name for group in GROUPS.values() for name in group]
    assert sorted(names) == sorted(flowgauge.__all__)
    assert all(api_page().count(f".{name}\n") == 1 for name in names)

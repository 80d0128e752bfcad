"""What every built-in method declares."""

import re

import pytest

from flowgauge.methods.explanation import VIEWS
from flowgauge.methods.registry import METHODS


@pytest.mark.parametrize("name", METHODS.builtin)
def test_built_in_methods_declare_their_source_and_name_the_year_in_their_summary(name: str) -> None:
    plugin = METHODS.create(name)
    assert plugin.name == name and plugin.gives <= set(VIEWS)
    assert re.fullmatch(r"[A-Z].+ \d{4}, .+", plugin.source)
    assert re.fullmatch(r"[A-Z].+ \([^()]+ \d{4}\)\.", METHODS.docs()[name].summary)

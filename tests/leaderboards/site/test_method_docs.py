"""Descriptions of methods on their pages."""

from __future__ import annotations

import pytest
from tests.leaderboards.conftest import record

from flowgauge.leaderboards.site.method_docs import describe_method
from flowgauge.methods.registry import METHODS


@pytest.mark.parametrize("name", sorted(METHODS.builtin))
def test_every_built_in_method_has_a_summary_in_one_sentence(name: str) -> None:
    summary = describe_method(record(name)).summary
    assert summary.endswith(".") and summary[0].isupper() and "\n" not in summary


def test_a_description_has_the_source_and_the_text_above_the_settings() -> None:
    saliency = describe_method(record("saliency"))
    assert saliency.source.startswith("Simonyan et al. 2014, Deep Inside Convolutional Networks, section 3")
    assert not any("Args:" in text or "Attributes:" in text for text in describe_method(record("influence-patterns")).paragraphs)


def test_other_methods_are_described_by_what_is_known() -> None:
    assert "not part of this flowgauge" in describe_method(record("nobody's")).summary
    handed_in = record("outside.mine", key={"method": {"producer": "a notebook 3"}}, asked={"citation": "Doe 2026."})
    description = describe_method(handed_in)
    assert description.summary == "Explanations computed outside flowgauge, by a notebook 3."
    assert description.source == "Doe 2026" and "cannot be checked by a second run" in description.paragraphs[0]

"""Every method and metric has a page with what is known of it."""

from __future__ import annotations

import pytest
from tests.conftest import CIRCUITS

from documentation.plugin_pages import NO_EXAMPLE, built_in, plugin_pages
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS

PUBLISHED = {
    "ablated_accuracy", "ablation_shift", "comprehensiveness", "completeness_error", "deletion_curve", "head_pruning",
    "loo_correlation", "masked_accuracy", "retention_curve", "sufficiency",
}  # fmt: skip
"""The metrics that the published board has scores of."""


@pytest.mark.slow
def test_every_method_and_metric_has_a_page() -> None:
    pages = {page.path: page.content for page in plugin_pages()}
    expected = {f"methods/{name}.md" for name in METHODS.builtin} | {f"metrics/{name}.md" for name in METRICS.builtin}
    lists = {"methods/index.md", "metrics/index.md", "tasks-and-models.md"}
    assert {path for path in pages if path.endswith(".md")} == expected | lists
    for kind in ("method", "metric"):
        for plugin in built_in(kind):
            page = str(pages[f"{kind}s/{plugin.name}.md"])
            assert plugin.misleads and f"## When it misleads\n\n{plugin.misleads}" in page
            assert plugin.source.replace("|", "\\|") in page
            assert all(f"| `{setting.name}` |" in page for setting in plugin.settings)
            has_picture = plugin.name in PUBLISHED or (kind == "method" and plugin.name not in CIRCUITS)
            assert (f"({plugin.name}-0.svg)" in page) == has_picture == (NO_EXAMPLE not in page), plugin.name
            assert not has_picture or pages[f"{kind}s/{plugin.name}-0.svg"][:5] == b"<?xml"
            assert f"]({plugin.name}.md)" in str(pages[f"{kind}s/index.md"])
    assert "integrated-gradients passes" in str(pages["methods/lime.md"])
    assert "[influence-patterns](../methods/influence-patterns.md)" in str(pages["metrics/ablated_accuracy.md"])

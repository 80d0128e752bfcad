"""GPT-NeoX: logits with the feed-forward block beside attention, and after it."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("parallel", [True, False])
def test_logits_equal_the_hugging_face_model(logits_equal, parallel) -> None:
    logits_equal("gpt_neox", 1e-6, use_parallel_residual=parallel)

"""Six architectures, three tasks, all methods: every cell is done, or not applicable with its reason, and has its scorecard."""

from __future__ import annotations

import pytest
from tests.benchmark.conformance.test_registries import quick
from tests.conftest import FULL_SIZE, agreement_words

from flowgauge.benchmark.conformance.small_models import heads_of, small_model
from flowgauge.benchmark.engine.run import run
from flowgauge.methods.registry import METHODS

FAMILIES = ("bert", "modernbert", "deberta-v2", "gpt2", "llama", "gemma2")
TASKS = ("sva/obj", "sva/app", "ra/ga")
METHODS_HERE = (
    tuple(METHODS.builtin)
    if FULL_SIZE
    else ("influence-patterns", "integrated-gradients", "attention-rollout", "attattr", "random")
)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_methods_run_to_the_end(family, tmp_path) -> None:
    model = small_model(family, heads_of(family)[0], words=agreement_words())
    folder = tmp_path / family
    model.hf.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    results = run(
        model=str(folder), tasks=list(TASKS) if FULL_SIZE else ["ra/ga"], methods=[quick(name) for name in METHODS_HERE],
        limit=4, store=str(tmp_path / "store"), quiet=True,
    )  # fmt: skip
    assert len(results.records) == len(METHODS_HERE) * (len(TASKS) if FULL_SIZE else 1)
    for record in results.records:
        assert record.status in ("done", "not-applicable"), (record.method, record.error)
        assert record.error or any(score.status == "done" for score in record.scores.values())
        assert not [(name, score.reason) for name, score in record.scores.items() if score.status == "failed"]

"""A store made by hand: two layers, four tokens, numbers that can be checked by eye."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowgauge.benchmark.store.explanation_file import ExplainedSentence, Part
from flowgauge.benchmark.store.record import Cost, Provenance, Record, Score
from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.comparison.task_boards import TaskBoard, read_task_boards
from flowgauge.leaderboards.submission.board_reader import BoardReader, open_board
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.scores import Aggregate, frame
from flowgauge.metrics.statistics.intervals import INTERVALS
from flowgauge.models.flow.graph import SKIP, Patterns

PROVENANCE = Provenance(flowgauge="0", python="3", platform="here", packages={}, device="cpu", threads=1, batch_size=1)
TOKENS, SLOTS = ("[CLS]", "cats", "[MASK]", "."), ("[CLS]", "SUBJ", "[MASK]", "END")
G = np.array([0.04, 2.0, 0.0, -0.5])
PUBLISHED = Path(__file__).resolve().parents[2] / "leaderboards" / "published" / "board"


def sentence(name: str, condition: str = "S", correct: bool = True, tokens: Sequence[str] = TOKENS) -> ExplainedSentence:
    words = tuple((0, i) for i in range(len(tokens)))
    answers = {"answer": ("are",), "against": ("is",), "predicted": ("are",) if correct else ("is",)}
    return ExplainedSentence(name, condition, tuple(tokens), SLOTS, words, 2, correct=correct, **answers)


def word_patterns() -> Patterns:
    """cats: a skip, then head 3 to [MASK]; the full stop: head 1 to [MASK], then its skip; [CLS]: as cats, tiny."""
    return Patterns(
        source=np.array([0, 1, 3]),
        total=np.array([0.04, 2.0, -0.5]),
        influence=np.array([0.03, 1.5, -0.4]),
        positions=np.array([[0, 0, 2], [1, 1, 2], [3, 2, 2]])[..., None],
        head_influence=np.array([0.02, 1.0, -0.25]),
        heads=np.array([[SKIP, 1], [SKIP, 2], [0, SKIP]])[..., None, None],
    )


def patterned(q: float = 1.25) -> Explanation:
    return Explanation(tokens=G, patterns=word_patterns(), values={"q": q, "q_baseline": -0.29, "completeness_error": 0.0})


def score(name: str, values: Mapping[str, Any], **fields: Any) -> Score:
    """Values are numbers, or (value, low, high), or an Aggregate."""
    made = []
    for variant, given in values.items():
        numbers = given if isinstance(given, tuple) else (given, given, given)
        made.append(
            given
            if isinstance(given, Aggregate)
            else Aggregate(variant=variant, value=numbers[0], low=numbers[1], high=numbers[2], count=8)
        )
    fields = {"intervals": INTERVALS, **fields}
    return Score(metric=f"{name}@1", name=name, version=1, settings={}, aggregates=tuple(made), **fields)


def record(
    method: str,
    scores: Sequence[Score] = (),
    *,
    task: str = "sva/obj",
    limit: int | None = None,
    seed: int | None = None,
    **fields: Any,
) -> Record:
    quantity = {"form": "logit_difference", "label": "gold"}
    asked = {"name": task, "limit": limit, "split": "test", "sample_seed": 0, "quantity": quantity}
    plain: dict[str, Any] = {
        "cell": f"{abs(hash((method, task, limit, seed))) % 16**12:012x}",
        "model": "toy",
        "task": task,
        "method": method,
        "seed": seed,
        "key": {"task": asked, "dtype": "float32", "method": {"name": method}, "seed": seed},
        "settings": {},
        "status": "done",
        "instances": 8,
        "scores": {s.metric: s for s in scores},
        "provenance": PROVENANCE,
        "cost": Cost(seconds=0.5, own_seconds=4.0, charged_seconds=0.0, explanations=8, peak_bytes=0),
    }
    return Record(**{**plain, **fields})


def frontier_point(margin, seed, share, f1, method="diffmask-hidden", **settings):
    """A cell of a mask trained with a margin: the share that it masks, and F1 with what it keeps."""
    scores = [score("masked_f1", {"f1": f1, "clean": 0.5}), score("share_masked", {"hard": share})]
    settings = {"margin": margin, **settings}
    return record(method, scores, seed=seed, settings=settings, cell=f"{abs(hash((method, str(settings), seed))) % 16**12:012x}")


def keep(
    store: Store, one: Record, sentences: Sequence[ExplainedSentence] = (), explanations: Sequence[Explanation] = ()
) -> None:
    """Writes a cell."""
    cell = store.find(one)
    if sentences:
        cell.write_part(0, Part(tuple(sentences), tuple(explanations), tuple(explanations)))
    cell.write_record(one)


def rows(values, variant="all", draws=1):
    """Score rows of instances i000, i001, ... of two conditions in turn; draws lie around the value."""
    return frame(
        [
            {"instance": f"i{n:03d}", "condition": "SP"[n % 2], "variant": variant, "draw": d, "reason": "" if x == x else "none",
             "value": x if x != x else x + (d - (draws - 1) / 2)}
            for n, x in enumerate(values) for d in range(draws)
        ]
    )  # fmt: skip


def write(store: Store, kept: Record, rows_of: Mapping[str, Any]) -> None:
    """Writes a cell and the rows of its scores, by metric."""
    cell = store.find(kept)
    for name, stored in kept.scores.items():
        cell.write_scores(stored, rows_of[name])
    cell.write_record(kept)


@pytest.fixture
def drawn_store(tmp_path: Path) -> str:
    """Explanations by influence patterns, attention and random, and the scores that curves and entropies need."""
    store = Store(str(tmp_path / "store"))
    sentences = [sentence("a", "S"), sentence("b", "S"), sentence("c", "P", correct=False)]
    edges = np.zeros((2, 1, 4, 4))
    edges[:, 0] = np.eye(4) * 0.5
    edges[1, 0, 2] = [0.1, 0.4, 0.3, 0.2]
    slots = {"slot/[CLS]": 0.3, "slot/SUBJ": 0.1, "slot/END": 0.2, "slot/SUBJ/used": 0.9, "union": 0.25}
    reach = {"influence/[CLS]": 0.5, "influence/SUBJ": 1.5, "influence/END": 1.0, "q": 1.25}
    curve = {"budget/100": 1.0, "budget/50": (0.75, 0.5, 0.9), "auc": 0.8, "auc/agreement": 0.9}
    accuracy = score("ablated_accuracy", {"original": 1.0, "chance": 0.5, "embedding/matched/predicted": 0.75})
    methods = {
        "influence-patterns": (
            [patterned()] * 3,
            [accuracy, score("pattern_entropy", {**slots, **reach}), score("retention_curve", curve)],
        ),
        "attention": ([Explanation(edges=edges)] * 3, [score("pattern_entropy", {"slot/SUBJ": 0.2, "union": 0.4})]),
        "random": ([Explanation(draws=(Explanation(nodes=np.arange(12.0).reshape(3, 4)),) * 2)] * 3, []),
    }
    for method, (explanations, scores) in methods.items():
        keep(store, record(method, scores, instances=3), sentences, explanations)
    return store.url


@pytest.fixture(scope="session")
def published_board() -> BoardReader:
    """The board that is committed."""
    return open_board([str(PUBLISHED)])


@pytest.fixture(scope="session")
def published_boards(published_board: BoardReader) -> list[TaskBoard]:
    """Every table of the board that is committed, which take half a minute."""
    return read_task_boards(published_board)


@pytest.fixture(scope="session")
def honest(tmp_path_factory) -> Path:
    """A bundle of two methods on eight sentences of the embedded model; the store is beside it."""
    from flowgauge.benchmark.engine.run import run
    from flowgauge.leaderboards.submission.bundle import pack

    folder = tmp_path_factory.mktemp("bundle")
    methods, metrics = ["integrated-gradients:samples=4", "influence-patterns"], ["ablated_accuracy", "comprehensiveness"]
    run(tasks="sva/obj", methods=methods, metrics=metrics, limit=8, store=str(folder / "store"), device="cpu")
    pack(str(folder / "store"), folder / "bundle", "a tester", note="for tests")
    return folder / "bundle"


@pytest.fixture
def bundle(honest: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(honest, tmp_path / "copy"))

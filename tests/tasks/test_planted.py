"""The planted tasks: sentences, splits, truth and settings."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from flowgauge.core.errors import NoSplit, UsageError
from flowgauge.tasks.planted import FILLERS, NOUNS, SKIP, PlantedTask
from flowgauge.tasks.registry import TASKS

NAMES = ["planted/relay", "planted/skip", "planted/attractor", "planted/fork", "planted/superposed"]


@pytest.mark.parametrize("spec", NAMES)
def test_truth_says_where_the_subject_is_and_how_its_number_travels(spec) -> None:
    task = TASKS.create(spec)
    for instance in task.instances("test", 40, 0):
        path, heads = instance.truth["path"], instance.truth["heads"]
        words = instance.segments[0].split()
        nouns = {n + 1: w for n, w in enumerate(words) if w.removesuffix("s") in NOUNS}
        assert set(nouns) == {path[0], *instance.truth["distractors"]}
        assert instance.answer == ("plural" if nouns[path[0]].endswith("s") else "singular",)
        assert len(path) == task.depth + 1 and path[-1] == 0
        assert [head == SKIP for head in heads] == [a == b for a, b in pairwise(path)]
        assert sum(head != SKIP for head in heads) == (task.hops or task.depth)
        others = {nouns[d].endswith("s") for d in instance.truth["distractors"]}
        assert others == ({instance.condition[2] == "P"} if task.distractors else set())
        assert set(words) - set(nouns.values()) <= set(FILLERS)


def test_splits_share_no_sentence_whatever_the_seeds() -> None:
    task = TASKS.create("planted/relay:words=4,sentences=300")
    train, test = ({i.segments for seed in range(2) for i in task.instances(split, None, seed)} for split in ("train", "test"))
    assert len(train) > 1200 and len(test) > 1200 and not train & test
    with pytest.raises(NoSplit, match="it has: train, test"):
        task.instances("validation")


def test_paths_differ_between_conditions_and_conditions_are_balanced() -> None:
    instances = TASKS.create("planted/attractor").instances("test", 16, 0)
    assert Counter(i.condition for i in instances) == dict.fromkeys(("1SS", "1SP", "1PS", "1PP", "2SS", "2SP", "2PS", "2PP"), 2)
    assert len({i.truth["path"] for i in instances}) == 2


@pytest.mark.parametrize(
    ("spec", "model"),
    [
        ("planted/relay", "planted"),
        ("planted/relay:sentences=5,noise=0.1", "planted:noise=0.1"),
        ("planted/attractor", "planted:heads=6,distractors=2,decoys=1"),
    ],
)
def test_a_task_names_the_model_with_its_wiring(spec, model) -> None:
    assert TASKS.create(spec).model == model


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("depth=0", "depth must be at least 1"),
        ("seed=-1", "seed must be at least 0"),
        ("hops=5", "5 hops do not fit into 4 layers"),
        ("overlap=1.0", "overlap in"),
        ("noise=-0.1", "at least 0"),
        ("routes=4,words=4", "need at least 5 words"),
        ("distractors=3", "5 together, got heads=4"),
        ("forks=0.5,depth=2", "above 0 needs 3 or more layers that all hop, got forks=0.5, depth=2"),
        ("sentences=501", "1 to 500 sentences"),
    ],
)
def test_settings_out_of_range_are_refused(settings, said) -> None:
    with pytest.raises(UsageError, match=said):
        TASKS.create(f"planted/relay:{settings}")


def test_the_counterpart_has_the_other_number_of_the_subject_alone() -> None:
    for instance in PlantedTask(distractors=1).instances("test", 8, 0):
        words, other = instance.segments[0].split(), instance.counterpart[0].split()
        at = instance.truth["path"][0] - 1
        assert [n for n, (a, b) in enumerate(zip(words, other, strict=True)) if a != b] == [at]
        assert sorted((words[at], other[at]))[1] == sorted((words[at], other[at]))[0] + "s"

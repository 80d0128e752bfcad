"""Classification tasks: files as published, the Hub, splits, class order, and every refusal."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import pytest

from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.core.registry import Spec, settings
from flowgauge.tasks.classification import PUBLISHED, ClassificationTask
from flowgauge.tasks.fingerprint import fingerprint
from flowgauge.tasks.instance import Instance, Task
from flowgauge.tasks.registry import TASKS, load_task, takes_data, tasks_for_head

NAMES = ("sst2", "sst", "sst/binary", "mnli", "rte", "mrpc")


def folder(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWGAUGE_DATA", raising=False)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_a_task_with_its_classes_and_summary(name: str, tiny_data: Path) -> None:
    task = load_task({"name": name, "data_dir": str(tiny_data)})
    assert isinstance(task, Task)
    assert task == ClassificationTask(name, str(tiny_data))
    assert (task.name, task.head, settings(task)) == (name, "label", {"name": name, "data_dir": str(tiny_data)})
    answers = {i.answer[0] for split in ("train", "validation", "test") for i in task.instances(split, None, 0)}
    assert answers == set(task.classes) - ({"neutral"} if name == "mnli" else set())
    assert TASKS.docs()[name].summary == (TASKS.factory(name).__doc__ or "").partition("\n")[0]


def test_classes_are_in_glues_order() -> None:
    assert {name: PUBLISHED[name].of_task for name in NAMES} == {
        "sst2": ("negative", "positive"),
        "sst": ("very negative", "negative", "neutral", "positive", "very positive"),
        "sst/binary": ("negative", "positive"),
        "mnli": ("entailment", "neutral", "contradiction"),
        "rte": ("entailment", "not_entailment"),
        "mrpc": ("not_equivalent", "equivalent"),
    }


def test_a_table_is_read_without_quoting_and_rows_count_from_0(tmp_path: Path) -> None:
    where = folder(tmp_path, "sst2/dev.tsv", 'sentence\tlabel\ttree_index\n "so " good \t1\t7\nbad\t0\t8\n')
    made = ClassificationTask("sst2", where).instances("validation")
    assert made == (
        Instance("sst2/validation/0", ('"so " good',), ("positive",)),
        Instance("sst2/validation/1", ("bad",), ("negative",)),
    )


def test_pairs_keep_their_order_labels_go_by_name_or_number_and_ids_by_the_files(tmp_path: Path) -> None:
    text = "id\tpremise\thypothesis\tlabel\n12\ta b\tc\tcontradiction\n3\td\te f\t1\n"
    first, second = ClassificationTask("mnli", folder(tmp_path, "mnli/dev_matched.tsv", text)).instances()
    assert first == Instance("mnli/validation/12", ("a b", "c"), ("contradiction",), cluster="a b")
    assert second == Instance("mnli/validation/3", ("d", "e f"), ("neutral",), cluster="d")


def test_test_is_glues_dev_set_and_ssts_own(tiny_data: Path) -> None:
    glue, sst = ClassificationTask("sst2", tiny_data), ClassificationTask("sst", tiny_data)
    assert glue.instances("test") == glue.instances("validation") != glue.instances("train")
    assert {i.id.split("/")[1] for i in sst.instances("test")} == {"test"}
    with pytest.raises(UsageError, match="no split 'dev'; it has: train, validation, test"):
        glue.instances("dev")


def test_every_word_of_a_tree_has_its_label(tmp_path: Path) -> None:
    tree = "(3 (2 It) (4 (2 's) (4 (3 great) (2 8\u00a01/2))))"
    where = folder(tmp_path, "sst/trees_test.txt", tree + "\n(0 Awful)\n")
    first, second = ClassificationTask("sst", where).instances()
    assert (first.segments, first.answer) == (("It 's great 8 1/2",), ("positive",))
    assert first.truth == {"token_labels": (2, 2, 3, 2, 2)}
    assert len(first.segments[0].split()) == 5
    assert (second.segments, second.answer, second.truth) == (("Awful",), ("very negative",), {"token_labels": (0,)})


def test_the_binary_reviews_leave_neutral_ones_out(tmp_path: Path) -> None:
    trees = [f"({label} (2 film) (1 {label}))" for label in range(5)]
    where = folder(tmp_path, "sst/trees_test.txt", "\n".join(trees))
    made = ClassificationTask("sst/binary", where).instances()
    assert [(i.id, i.answer[0]) for i in made] == [
        ("sst/binary/test/0", "negative"),
        ("sst/binary/test/1", "negative"),
        ("sst/binary/test/3", "positive"),
        ("sst/binary/test/4", "positive"),
    ]
    assert made[0].truth == {"token_labels": (2, 1)}


def test_a_limit_is_a_seeded_sample_without_regard_to_classes(tmp_path: Path) -> None:
    rows = "".join(f"film {i}\t{int(i < 90)}\n" for i in range(100))
    task = ClassificationTask("sst2", folder(tmp_path, "sst2/dev.tsv", "sentence\tlabel\n" + rows))
    drawn = task.instances("test", 40, 1)
    assert len(drawn) == 40 and drawn == task.instances("test", 40, 1) != task.instances("test", 40, 2)
    assert sum(i.answer == ("positive",) for i in drawn) > 30
    assert {i.condition for i in drawn} == {""}


def on_hub(rows: list[dict[str, Any]], names: list[str]) -> datasets.Dataset:
    features = {key: datasets.Value("string") for key in rows[0] if key not in ("label", "idx")}
    wanted = datasets.Features({**features, "label": datasets.ClassLabel(names=names), "idx": datasets.Value("int32")})
    return datasets.Dataset.from_list(rows, features=wanted)


def test_the_hub_gives_the_same_instances_as_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    rows = [{"sentence": "so good ", "label": 1, "idx": 0}, {"sentence": "bad", "label": 0, "idx": 1}]

    def load(*path: str, split: str) -> datasets.Dataset:
        asked.append((path, split))
        return on_hub(rows, ["negative", "positive"])

    monkeypatch.setattr(datasets, "load_dataset", load)
    hub = ClassificationTask("sst2")
    file = ClassificationTask("sst2", folder(tmp_path, "sst2/dev.tsv", "sentence\tlabel\nso good\t1\nbad\t0\n"))
    assert fingerprint(hub.instances()) == fingerprint(file.instances())
    assert asked == [(("nyu-mll/glue", "sst2"), "validation")]
    assert hub.source == "hub nyu-mll/glue sst2: train = train, validation = validation"


def test_the_hubs_class_names_count_not_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"premise": "a", "hypothesis": "b", "label": 0, "idx": 4}]
    made = on_hub(rows, ["contradiction", "entailment", "neutral"])
    splits = []

    def load(*path: str, split: str) -> datasets.Dataset:
        splits.append(split)
        return made

    monkeypatch.setattr(datasets, "load_dataset", load)
    expected = Instance("mnli/validation/4", ("a", "b"), ("contradiction",), cluster="a")
    assert ClassificationTask("mnli").instances() == (expected,)
    assert splits == ["validation_matched"]


def test_which_tasks_fit_a_head_and_which_read_data() -> None:
    assert tasks_for_head("label", lambda classes: len(classes) == 3) == ["mnli"]
    assert set(NAMES) & set(tasks_for_head("masked", lambda classes: True)) == set()
    assert [takes_data(Spec(name, {})) for name in ("sst2", "sva/obj", "x.tsv")] == [True, False, False]
    with pytest.raises(UnknownName, match="did you mean sst or sst2"):
        ClassificationTask("sst3")


@pytest.mark.real
def test_the_real_files_have_their_published_counts(shared_data: Path) -> None:
    """Socher et al. 2013; GLUE's sizes; of files that are a part, the numbers that lie there."""
    counts = {name: len(ClassificationTask(name, shared_data).instances("validation")) for name in NAMES}
    assert counts == {"sst2": 872, "sst": 1101, "sst/binary": 872, "mnli": 7654, "rte": 216, "mrpc": 318}
    assert len(ClassificationTask("sst2", shared_data).instances("train")) == 67349
    assert len(ClassificationTask("sst/binary", shared_data).instances("train")) == 6920
    assert "mnli/dev_matched_part.tsv.gz (a part of it)" in ClassificationTask("mnli", shared_data).source
    labels = [i.answer[0] for i in ClassificationTask("sst2", shared_data).instances()]
    assert (labels.count("negative"), labels.count("positive")) == (428, 444)


@pytest.mark.real
def test_trees_give_the_words_and_labels_of_an_independent_parse(shared_data: Path) -> None:
    made = ClassificationTask("sst", shared_data).instances("validation")
    with gzip.open(shared_data / "sst" / "tokens_dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        parsed = [json.loads(line) for line in lines]
    assert len(made) == len(parsed)
    for instance, row in zip(made, parsed, strict=True):
        assert instance.segments == (" ".join(row["tokens"]),)
        assert instance.truth["token_labels"] == tuple(row["token_labels"])
        assert instance.answer == (PUBLISHED["sst"].names[row["label"]],)


def test_a_copy_elsewhere_is_the_same_task(tmp_path: Path, tiny_data: Path) -> None:
    shutil.copytree(tiny_data, tmp_path / "copy")
    for name in NAMES:
        one, two = (fingerprint(ClassificationTask(name, place).instances()) for place in (tiny_data, tmp_path / "copy"))
        assert one == two

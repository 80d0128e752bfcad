"""SQuAD: both published forms, character spans, splits, the Hub, and every refusal with its row."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pytest

from flowgauge.core.errors import UsageError
from flowgauge.core.registry import settings
from flowgauge.tasks.fingerprint import fingerprint
from flowgauge.tasks.instance import Instance, Task, cluster_of
from flowgauge.tasks.registry import TASKS, load_task, takes_data, tasks_for_head
from flowgauge.tasks.squad import SQUAD, Squad

CONTEXT = " The Broncos practiced at Stanford; the Panthers at San José State."
GOOD: dict[str, Any] = {
    "id": "5",
    "question": " Where? ",
    "context": CONTEXT,
    "answers": [{"text": "Stanford", "answer_start": 26}],
}


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWGAUGE_DATA", raising=False)


def folder(tmp_path: Path, *rows: dict[str, Any] | str, name: str = "dev.jsonl") -> Path:
    (tmp_path / "squad").mkdir(exist_ok=True)
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    (tmp_path / "squad" / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return tmp_path


def test_it_is_a_task_that_reads_data_and_fits_span_heads(tiny_data: Path) -> None:
    task = load_task({"name": "squad", "data_dir": str(tiny_data)})
    assert isinstance(task, Task) and task == Squad(str(tiny_data))
    assert (task.name, task.head, settings(task)) == ("squad", "span", {"data_dir": str(tiny_data)})
    assert takes_data(load_spec()) and tasks_for_head("span", lambda _: True) == ["squad"]
    assert TASKS.docs()["squad"].summary == (Squad.__doc__ or "").partition("\n")[0]


def load_spec() -> Any:
    from flowgauge.core.registry import Spec

    return Spec.parse("squad")


def test_an_answer_is_its_characters_in_the_passage_as_it_stands_there(tmp_path: Path) -> None:
    both = [{"text": " San José", "answer_start": 51}, {"text": "San José State", "answer_start": 52}]
    twice = [*both, {"text": "San José", "answer_start": 52}]
    one, two = Squad(folder(tmp_path, GOOD, {**GOOD, "id": "6", "answers": twice})).instances("validation")
    # The passage keeps its first blank.
    assert one == Instance("squad/validation/5", ("Where?", CONTEXT), (26, 34), cluster=cluster_of(CONTEXT))
    assert one.cluster == two.cluster
    assert CONTEXT[26:34] == "Stanford"
    assert (two.answer, two.also) == ((52, 60), ((52, 66),))  # blanks at the ends and answers given twice are left out
    assert [CONTEXT[slice(*span)] for span in (two.answer, *two.also)] == ["San José", "San José State"]


def test_the_hubs_form_gives_the_same_instances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {**GOOD, "answers": {"text": ["Stanford", "at Stanford"], "answer_start": [26, 23]}}
    asked = []

    def load(*names: str, split: str) -> datasets.Dataset:
        asked.append((names, split))
        return datasets.Dataset.from_list([{"title": "Super Bowl", **listed}])

    monkeypatch.setattr(datasets, "load_dataset", load)
    hub = Squad().instances("test")
    assert asked == [(("rajpurkar/squad", "plain_text"), "validation")]
    assert Squad().source == "hub rajpurkar/squad plain_text: train = train, validation = validation"
    assert hub == Squad(folder(tmp_path, listed)).instances("test")
    assert hub[0].also == ((23, 34),)
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *a, split: datasets.Dataset.from_list([{"question": "a", "answers": []}])
    )
    with pytest.raises(UsageError, match="on the Hub has no column context; it has question, answers"):
        Squad().instances("test")


def test_splits_and_samples(tiny_data: Path) -> None:
    task = Squad(tiny_data)
    assert task.instances("test") == task.instances("validation") != task.instances("train")
    drawn = task.instances("train", 6, 1)
    assert len(drawn) == 6 and drawn == task.instances("train", 6, 1) != task.instances("train", 6, 2)
    assert {i.id for i in drawn} <= {i.id for i in task.instances("train")}
    with pytest.raises(UsageError, match="'squad' has no split 'dev'; it has: train, validation, test"):
        task.instances("dev")


def test_a_part_of_a_sample_is_found_and_named(tmp_path: Path) -> None:
    where = folder(tmp_path, GOOD, name="dev_sample_part.jsonl.gz")
    assert Squad(where).source == "data folder: validation = squad/dev_sample_part.jsonl.gz (a part of it)"
    assert len(Squad(where).instances()) == 1
    with pytest.raises(UsageError, match=r"finds no squad/train\.\* in .*columns question, context, answers"):
        Squad(where).instances("train")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"answers": [{"text": "Stanford", "answer_start": 27}]},
            r"'Stanford' is not at character 27 .*, where 'tanford;' stands",
        ),
        ({"answers": [{"text": "Stanford", "answer_start": 4000}]}, "is not at character 4000 of the context, where '' stands"),
        ({"answers": [{"text": "Stanford", "answer_start": -42}]}, "is not at character -42"),
        ({"answers": [{"text": " ", "answer_start": 0}]}, "an answer is empty"),
        ({"answers": []}, r"no answer; questions that have none \(SQuAD 2.0\)"),
        ({"answers": {"text": [], "answer_start": []}}, "no answer"),
        ({"answers": {"text": ["a", "b"], "answer_start": [1]}}, "answers must be a list of {text, answer_start}"),
        ({"answers": [{"text": "Stanford"}]}, "answers must be a list"),
        ({"answers": [{"text": "Stanford", "answer_start": "26"}]}, "answers must be a list"),
        ({"answers": "Stanford"}, "answers must be a list of {text, answer_start} .*, got 'Stanford'"),
        ({"answers": 5}, "answers must be a list"),
        ({"answers": None}, "answers must be a list"),
        ({"answers": "[" * 5000}, "answers must be a list"),
        ({"question": " "}, "the question is empty"),
        ({"context": ""}, "the context is empty"),
    ],
)
def test_broken_rows_are_refused_with_their_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=rf"dev\.jsonl, line 2: .*{said}"):
        Squad(folder(tmp_path, GOOD, {**GOOD, "id": "6", **change})).instances()


def test_damaged_files_and_missing_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"line 2: not JSON"):
        Squad(folder(tmp_path, GOOD, '{"id": ')).instances()
    with pytest.raises(UsageError, match=r"line 2: brackets within brackets"):
        Squad(folder(tmp_path, GOOD, "[" * 100_000)).instances()
    with pytest.raises(UsageError, match=r"line 1: no column answers; it has question, context"):
        Squad(folder(tmp_path, {"question": "a", "context": "b"})).instances()
    with pytest.raises(UsageError, match="line 2: the id '5' is that of line 1 too"):
        Squad(folder(tmp_path, GOOD, GOOD)).instances()
    with pytest.raises(UsageError, match=r"go online for its first use, or put squad/dev\.tsv"):
        Squad().instances()


@pytest.mark.real
def test_the_real_sample_is_whole(shared_data: Path) -> None:
    task = Squad(shared_data)
    dev, train = task.instances("validation"), task.instances("train")
    assert (len(dev), len(train), sum(bool(i.also) for i in dev)) == (1446, 7614, 324)
    sizes = Counter(instance.cluster for instance in dev)
    assert len(sizes) == len({instance.segments[1] for instance in dev}) == 302 and sum(sizes.values()) == 1446
    text = gzip.decompress((shared_data / "squad" / "dev_sample_part.jsonl.gz").read_bytes()).decode()
    stored = [json.loads(line) for line in text.splitlines()]
    for instance, row in zip(dev, stored, strict=True):
        texts = {answer["text"].strip() for answer in row["answers"]}
        assert {instance.segments[1][slice(*span)] for span in (instance.answer, *instance.also)} == texts
    assert fingerprint(dev) != fingerprint(train) and SQUAD.texts == ("question", "context")

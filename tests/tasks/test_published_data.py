"""Rows of published data: which file or which split on the Hub is read, and every refusal."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import datasets
import pytest

from flowgauge.core.errors import UsageError
from flowgauge.tasks.classification import ClassificationTask
from flowgauge.tasks.registry import load_task

from .test_classification import folder


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWGAUGE_DATA", raising=False)


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (("dev_part.tsv", "dev.csv"), "sst2/dev.csv"),
        (("dev_part.tsv",), "sst2/dev_part.tsv (a part of it)"),
        (("dev_sample.jsonl.gz",), "sst2/dev_sample.jsonl.gz (a sample of it)"),
    ],
)
def test_the_source_names_the_file_and_says_part(tmp_path: Path, names: tuple[str, ...], read: str) -> None:
    rows = {
        ".tsv": "sentence\tlabel\npart\t1\n",
        ".csv": "sentence,label\nwhole,1\n",
        ".gz": '{"sentence": "some", "label": 1}\n',
    }
    for name in names:
        folder(tmp_path, f"sst2/{name}", text := rows[Path(name).suffix])
        if name.endswith(".gz"):
            (tmp_path / "sst2" / name).write_bytes(gzip.compress(text.encode()))
    task = ClassificationTask("sst2", tmp_path)
    assert task.source == f"data folder: validation = {read}"
    assert task.instances()[0].segments == ("whole" if "csv" in read else "some" if "gz" in read else "part",)


def test_the_variable_names_the_folder_and_a_setting_goes_before_it(
    tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWGAUGE_DATA", str(tiny_data))
    assert len(load_task("sst2").instances("test", None, 0)) == 16
    other = folder(tmp_path, "sst2/dev.tsv", "sentence\tlabel\ngood\t1\n")
    assert len(load_task({"name": "sst2", "data_dir": str(other)}).instances("test", None, 0)) == 1
    monkeypatch.setenv("FLOWGAUGE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match=r"no data folder .*nowhere \(from the environment variable FLOWGAUGE_DATA\)"):
        load_task("sst2").instances("test", None, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sentence\tlabel\ngood\t1\nbad\t2\n", "line 3: the label is '2', expected 0 or negative, 1 or positive."),
        ("sentence\tlabel\ngood\t-1\n", "line 2: the label is '-1', expected 0 or negative, 1 or positive."),
        ("sentence\tlabel\ngood\tPOS\n", "line 2: the label is 'POS'"),
        ("sentence\tlabel\n\t1\n", "line 2: a text is empty."),
        ("sentence\tlabel\ngood\n", "line 2: 1 cells, but the header has 2"),
        ("text\tlabel\ngood\t1\n", "line 1: no column sentence; it has text, label."),
        ("sentence\tlabel\n", "has no rows"),
        ("id\tsentence\tlabel\n1\ta\t1\n1\tb\t1\n", "line 3: the id '1' is that of line 2 too"),
    ],
)
def test_a_broken_file_is_one_line_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"dev\.tsv|sst2") as error:
        ClassificationTask("sst2", folder(tmp_path, "sst2/dev.tsv", text)).instances()
    assert said in str(error.value)


@pytest.mark.parametrize("tree", ["(3 (2 good) film)", "good film", "(3 (2 good) (5 film))", "(3 (2 good) (2 film)"])
def test_a_broken_tree_is_named_with_its_line(tmp_path: Path, tree: str) -> None:
    with pytest.raises(UsageError, match=r"trees_test\.txt, line 2: no PTB tree"):
        ClassificationTask("sst", folder(tmp_path, "sst/trees_test.txt", f"(2 good)\n{tree}\n")).instances()


def test_a_folder_without_the_file_says_which_to_put_there_and_never_asks_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: pytest.fail("the Hub was asked"))
    with pytest.raises(UsageError, match=r"finds no sst2/dev\.\* in .*: put sst2/dev\.tsv .*columns sentence, label"):
        ClassificationTask("sst2", tmp_path).instances()
    with pytest.raises(UsageError, match="there is no data folder"):
        ClassificationTask("sst2", tmp_path / "nowhere").instances()


def test_hidden_labels_and_missing_columns_on_the_hub_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = datasets.Dataset.from_list([{"sentence": "a", "label": -1}])
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, split: hidden)
    with pytest.raises(UsageError, match="nyu-mll/glue sst2 validation, row 0: the label is '-1'"):
        ClassificationTask("sst2").instances()
    with pytest.raises(UsageError, match="has no column premise or hypothesis; it has sentence, label"):
        ClassificationTask("mnli").instances()


def test_offline_without_data_is_one_line_that_says_what_to_do() -> None:
    with pytest.raises(UsageError) as error:
        ClassificationTask("rte").instances()
    for said in ("cannot be read from the Hub (nyu-mll/glue rte", "rte/dev.tsv", "sentence1, sentence2, label", "--data-dir"):
        assert said in str(error.value)
    with pytest.raises(UsageError, match=r"'sst' is not on the Hub .* put sst/trees_test.txt .*trainDevTestTrees_PTB.zip"):
        ClassificationTask("sst").instances()


def test_the_hubs_retries_are_not_told_one_by_one(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(logging.getLogger("huggingface_hub"), "level", logging.WARNING)

    def load(*path: str, split: str) -> None:
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s")
        raise ConnectionError("Couldn't reach it")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(UsageError, match="cannot be read from the Hub"):
        ClassificationTask("rte").instances()
    assert caplog.messages == []


def test_an_id_that_is_there_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    where = folder(tmp_path, "sst2/dev.tsv", "id\tsentence\tlabel\nx\tgood\t1\ny\tbad\t0\nx\tbad\t0\n")
    with pytest.raises(UsageError, match=r"dev.tsv, line 4: the id 'x' is that of line 2 too"):
        ClassificationTask("sst2", where).instances("validation")


def test_a_failure_without_a_message_is_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(UsageError, match=r"cannot be read from the Hub \(.*: it is not implemented\): go online"):
        load_task("rte").instances("validation", 2, 0)

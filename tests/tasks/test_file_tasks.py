"""Tasks from a user's file: what rows become, settings, and every refusal."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.core.registry import settings
from flowgauge.tasks.file_tasks import LabelledTexts, MinimalPairs, pairs
from flowgauge.tasks.fingerprint import fingerprint
from flowgauge.tasks.instance import Instance, Task, cluster_of
from flowgauge.tasks.registry import load_task

PAIRS = "sentence\ttarget_idx\tgood\tbad\tcondition\n"


def write(folder: Path, text: str, name: str = "set.tsv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_gap_or_the_number_of_a_word_gives_the_same_instance(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        PAIRS + "the cats [MASK] here .\t\tare\tis\tP\nthe cats are here .\t2\tare\tis\tP\nthe cats is here .\t2\tare\tis\tP\n",
    )
    task = load_task(str(path))
    assert isinstance(task, MinimalPairs)
    assert isinstance(task, Task)
    assert (task.name, task.source, task.head, task.version, task.doc) == (
        "file/set",
        "set.tsv",
        "masked",
        1,
        "Minimal pairs from set.tsv.",
    )
    expected = [Instance(f"set/{i}", ("the cats [MASK] here .",), ("are",), ("is",), "P") for i in (1, 2, 3)]
    assert list(task.instances("test", None, 0)) == expected


def test_capitals_of_the_target_do_not_matter_and_shared_punctuation_stays(tmp_path: Path) -> None:
    path = write(tmp_path, PAIRS + "Is it so\t0\tis\tare\t\nhe hurt himself.\t2\thimself.\therself.\t\n")
    first, second = load_task(str(path)).instances("test", None, 0)
    assert (first.segments, first.answer) == (("[MASK] it so",), ("is",))
    assert (second.segments, second.answer, second.against) == (("he hurt [MASK].",), ("himself",), ("herself",))


def test_labels_are_integers_if_all_are(tmp_path: Path) -> None:
    numbers = load_task(str(write(tmp_path, "sentence\tlabel\ngood film\t1\nbad film\t0\n")))
    assert isinstance(numbers, LabelledTexts)
    assert numbers.instances("test", None, 0) == (Instance("set/1", ("good film",), (1,)), Instance("set/2", ("bad film",), (0,)))
    words = load_task(
        str(
            write(
                tmp_path,
                '{"sentence": "a", "sentence2": "b", "label": "yes"}\n{"sentence": "c", "sentence2": "d", "label": 1}\n',
                "set.jsonl",
            )
        )
    )
    assert [(i.segments, i.answer) for i in words.instances("test", None, 0)] == [(("a", "b"), ("yes",)), (("c", "d"), ("1",))]
    assert isinstance(words, LabelledTexts)
    assert (words.name, words.head, words.doc) == ("file/set", "label", "Labelled texts from set.jsonl.")


def test_columns_are_renamed_and_settings_name_no_folder(tmp_path: Path) -> None:
    path = write(tmp_path, "text\tright\twrong\nit [MASK]\tis\tare\n", "my set (1).tsv")
    task = load_task(str(path), {"sentence": "text", "good": "right", "bad": "wrong"})
    assert task.instances("test", None, 0) == (Instance("my-set-1-/1", ("it [MASK]",), ("is",), ("are",)),)
    assert task.name == "file/my-set-1-"
    assert settings(task) == {
        "file": "my set (1).tsv",
        "columns": {"sentence": "text", "good": "right", "bad": "wrong"},
        "where": {},
        "on_broken": "error",
    }


def test_results_do_not_depend_on_the_folder_but_on_the_content(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    here, there = (
        write(tmp_path, PAIRS + "a [MASK]\t\tis\tare\tS\n"),
        write(tmp_path / "other", PAIRS + "a [MASK]\t\tis\tare\tS\n"),
    )
    prints = [fingerprint(load_task(str(p)).instances("test", None, 0)) for p in (here, there)]
    assert prints[0] == prints[1]
    write(tmp_path, PAIRS + "a [MASK]\t\tis\tare\tP\n")
    assert fingerprint(load_task(str(here)).instances("test", None, 0)) != prints[0]


def test_where_keeps_rows_and_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, PAIRS + "a [MASK]\t\tis\tare\tS\nb [MASK]\t\tis\tare\tP\nc [MASK]\t\tis\twas\tP\n")
    assert [i.id for i in load_task(f"{path}:where=condition=P").instances("test", None, 0)] == ["set/2", "set/3"]
    assert [
        i.id for i in load_task({"name": str(path), "where": {"condition": "P", "bad": "was"}}).instances("test", None, 0)
    ] == ["set/3"]
    with pytest.raises(UsageError) as caught:
        load_task(f"{path}:where=condition=Q")
    assert str(caught.value) == f"no row of {path} has condition=Q; condition is S, P."
    with pytest.raises(
        UnknownName, match=r"no column of set.tsv is called 'conditon': did you mean condition\? \(in the setting where\)"
    ):
        load_task(f"{path}:where=conditon=P")


def test_limits_are_balanced_seeded_and_in_the_order_of_the_file(tmp_path: Path) -> None:
    rows = "".join(f"n{i} [MASK]\t\tis\tare\t{'S' if i % 10 else 'P'}\n" for i in range(40))
    task = load_task(str(write(tmp_path, PAIRS + rows)))
    taken = task.instances("test", 8, 1)
    numbers = [int(i.id.split("/")[1]) for i in taken]
    assert numbers == sorted(set(numbers))
    assert sorted(i.condition for i in taken) == ["P"] * 4 + ["S"] * 4
    assert taken == task.instances("test", 8, 1) != task.instances("test", 8, 2)


BROKEN = [
    ("the cats [MASK]\t\t\tis\t", "the cell good is empty."),
    ("the cats [MASK]\t\tare\t \t", "the cell bad is empty."),
    ("\t1\tare\tis\t", "the cell sentence is empty."),
    ("the cats [MASK]\t\tis\tis\t", "good and bad are both 'is'."),
    ("the [MASK] [MASK]\t\tare\tis\t", "[MASK] is there 2 times, expected once: 'the [MASK] [MASK]'."),
    ("the cats are\t\tare\tis\t", "there is no [MASK] in the sentence and no target_idx to put one at."),
    ("the cats are\ttwo\tare\tis\t", "target_idx must be the number of a word, counted from 0, got 'two'."),
    ("the cats are\t-1\tare\tis\t", "target_idx must be the number of a word, counted from 0, got '-1'."),
    ("the cats are\t3\tare\tis\t", "target_idx is 3, but the sentence has 3 words (0 to 2)."),
    ("the cats are\t1\tare\tis\t", "word 1 (target_idx) is 'cats', neither 'are' nor 'is'."),
]


@pytest.mark.parametrize(("row", "message"), BROKEN)
def test_a_broken_row_stops_with_its_line_or_is_left_out_and_counted(tmp_path: Path, caplog: Any, row: str, message: str) -> None:
    path = write(tmp_path, PAIRS + "fine [MASK]\t\tis\tare\t\n" + row + "\nfine too [MASK]\t\tis\tare\t\n")
    with pytest.raises(UsageError) as caught:
        load_task(str(path))
    assert str(caught.value) == f"{path}, line 3: {message} To leave such rows out, write {path}:on_broken=skip."
    with caplog.at_level(logging.WARNING):
        task = load_task(f"{path}:on_broken=skip")
    assert isinstance(task, MinimalPairs)
    assert (task.broken, [i.id for i in task.instances("test", None, 0)]) == (1, ["set/1", "set/3"])
    assert caplog.messages == [f"1 of 3 rows of set.tsv left out, the first: line 3: {message}"]


def test_a_file_of_broken_rows_only_is_refused_even_when_they_may_be_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, PAIRS + "x\t\tis\tare\t\n" * 2)
    with pytest.raises(UsageError, match=r"none of the 2 rows of .* can be used; the first: .*, line 2: there is no \[MASK\]"):
        load_task(f"{path}:on_broken=skip")


UNUSABLE = {
    "": "the cell label is empty.",
    "-": "the label is '-', which says that there is none.",
    "NaN": "the label is 'NaN', which says that there is none.",
    "<NA>": "the label is '<NA>', which says that there is none.",
}


@pytest.mark.parametrize("label", UNUSABLE)
def test_rows_without_a_label_can_be_left_out_and_do_not_decide_the_type_of_the_others(tmp_path: Path, label: str) -> None:
    path = write(tmp_path, f"sentence\tlabel\na\t1\nb\t{label}\nc\t0\n")
    with pytest.raises(UsageError) as caught:
        load_task(str(path))
    assert str(caught.value) == f"{path}, line 3: {UNUSABLE[label]} To leave such rows out, write {path}:on_broken=skip."
    task = load_task(f"{path}:on_broken=skip")
    assert isinstance(task, LabelledTexts)
    assert ([(i.id, i.answer) for i in task.instances("test", None, 0)], task.broken) == ([("set/1", (1,)), ("set/3", (0,))], 1)


def test_the_type_of_labels_is_decided_over_the_rows_that_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "sentence\tlabel\tpart\na\t1.0\tx\nb\tother\ty\nc\t-1.\tx\n")
    assert [i.answer for i in load_task(f"{path}:where=part=x").instances("test", None, 0)] == [(1,), (-1,)]
    assert [i.answer for i in load_task(str(path)).instances("test", None, 0)] == [("1.0",), ("other",), ("-1.",)]


def test_scores_and_truth_values_stay_text(tmp_path: Path) -> None:
    rows = '{"sentence": "a", "label": true}\n{"sentence": "b", "label": 0.8}\n'
    assert [i.answer for i in load_task(str(write(tmp_path, rows, "a.jsonl"))).instances("test", None, 0)] == [
        ("true",),
        ("0.8",),
    ]


def test_a_class_may_be_called_none(tmp_path: Path) -> None:
    task = load_task(str(write(tmp_path, "sentence\tlabel\na\tnone\nb\tracism\n")))
    assert [i.answer for i in task.instances("test", None, 0)] == [("none",), ("racism",)]


def test_the_source_of_a_row_is_its_cluster(tmp_path: Path) -> None:
    """A column `cluster`, or another that is named for it, also one that is read as a text."""
    pairs = "sentence\tgood\tbad\tcluster\nthe [MASK] runs\tcat\tcats\t story 7 \nthe [MASK] run\tcats\tcat\t\n"
    task = load_task(str(write(tmp_path, pairs)))
    assert [i.cluster for i in task.instances("test", None, 0)] == ["story 7", ""]
    long = "a premise that is longer than a name"
    rows = f"premise\thypothesis\tlabel\n{long}\tb\tx\n{long} \tc\ty\nd\te\tx\n"
    columns = {"sentence": "premise", "sentence2": "hypothesis", "cluster": "premise"}
    named = load_task({"name": str(write(tmp_path, rows, "b.tsv")), "columns": columns})
    one, two, three = named.instances("test", None, 0)
    assert one.cluster == two.cluster == cluster_of(long) and len(one.cluster) == 16 and three.cluster == "d"
    assert one.segments == (long, "b")


def test_a_list_of_labels_asks_about_every_label_of_the_file(tmp_path: Path) -> None:
    rows = '{"sentence": "a", "label": ["toxic", "rude"]}\n{"sentence": "b", "label": []}\n{"sentence": "c", "label": "rude"}\n'
    task = load_task(str(write(tmp_path, rows, "a.jsonl")))
    assert [(i.id, i.answer[0]) for i in task.instances("test", None, 0)] == [
        ("a/1/rude", "rude"), ("a/1/toxic", "toxic"), ("a/2/rude", "not rude"), ("a/2/toxic", "not toxic"),
        ("a/3/rude", "rude"), ("a/3/toxic", "not toxic"),
    ]  # fmt: skip
    assert [i.cluster for i in task.instances("test", None, 0)] == ["a/1", "a/1", "a/2", "a/2", "", ""]
    with pytest.raises(UsageError, match=r"b\.jsonl, line 1: label is a list of something else than labels\. To leave"):
        load_task(str(write(tmp_path, '{"sentence": "a", "label": [["toxic"]]}\n', "b.jsonl")))


@pytest.mark.parametrize("labels", ["[0, 1, 0]", "[1.0, 0.0, 1.0]", "[true, false, false]", "[0, 1]", '["toxic", "toxic"]'])
def test_a_list_that_says_of_every_label_whether_it_is_true_is_no_list_of_names(tmp_path: Path, labels: str) -> None:
    path = write(tmp_path, f'{{"sentence": "a", "label": {labels}}}\n' * 2, "a.jsonl")
    with pytest.raises(UsageError, match=r"label is a list .*: write the names of the labels that are true, not whether each"):
        load_task(str(path))


def test_labels_that_are_numbers_may_be_a_list(tmp_path: Path) -> None:
    rows = '{"sentence": "a", "label": [0, 1]}\n{"sentence": "b", "label": [1]}\n'
    task = load_task(str(write(tmp_path, rows, "a.jsonl")))
    assert [i.answer[0] for i in task.instances("test", None, 0)] == ["0", "1", "not 0", "1"]


def test_an_object_is_no_label(tmp_path: Path) -> None:
    nested = write(tmp_path, '{"data": {"sentence": ["a", "b"]}, "label": {"name": "positive"}}\n', "b.jsonl")
    with pytest.raises(UsageError, match=r"label is an object; name one of its parts as the column: label\.name"):
        load_task(str(nested), {"sentence": "data.sentence"})
    task = load_task(str(nested), {"sentence": "data.sentence", "label": "label.name"})
    assert task.instances("test", None, 0) == (Instance("b/1", ("a b",), ("positive",)),)


WHOLE = {
    "blimp.jsonl": '{"sentence_good": "Ann hurt herself.", "sentence_bad": "Ann hurt himself.", "UID": "x"}\n',
    "columns.tsv": "sentence_good\tsentence_bad\nAnn hurt herself.\tAnn hurt himself.\n",
    "good_bad.csv": "good,bad\nAnn hurt herself.,Ann hurt himself.\n",
    "no_header.tsv": "Ann hurt herself.\tAnn hurt himself.\n" * 2,
    "clams.txt": "True\tAnn hurt herself.\nFalse\tAnn hurt himself.\n",
    "clams.tsv": "False\tAnn hurt himself.\r\nTRUE\tAnn hurt herself.\r\n",
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_sentences_that_differ_in_a_word_are_a_minimal_pair(tmp_path: Path, name: str) -> None:
    task = load_task(str(write(tmp_path, WHOLE[name], name)))
    first = task.instances("test", None, 0)[0]
    assert (type(task), first.segments, first.answer, first.against) == (
        MinimalPairs, ("Ann hurt [MASK].",), ("herself",), ("himself",)
    )  # fmt: skip


def test_pairs_of_any_columns_and_pairs_that_differ_in_more_than_a_word(tmp_path: Path) -> None:
    path = write(tmp_path, "right\twrong\nit is old\tit are old\nit is old\tthey are old\nit is\tit is old\n")
    columns = {"sentence_good": "right", "sentence_bad": "wrong"}
    with pytest.raises(UsageError) as caught:
        load_task(str(path), columns)
    assert str(caught.value) == (
        f"{path}, line 3: two sentences of a pair must differ in one word, got 'it is old' and 'they are old'. To leave such "
        f"rows out, write {path}:on_broken=skip."
    )
    task = load_task(f"{path}:on_broken=skip", columns)
    assert isinstance(task, MinimalPairs)
    assert (task.broken, [(i.segments, i.answer) for i in task.instances("test", None, 0)]) == (
        2,
        [(("it [MASK] old",), ("is",))],
    )
    assert load_task(f"{path}:on_broken=skip", {"good": "right", "bad": "wrong"}).instances("test", None, 0) == task.instances(
        "test", None, 0
    )


PAIR = "premise\thypothesis\tid\tlabel\n" + "a man sings a song\tone sings a song\t7\tyes\n" * 3


def test_a_second_text_that_no_column_is_named_for_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, PAIR)
    task = load_task(str(path), {"sentence": "premise"})
    assert task.instances("test", None, 0)[0].segments == ("a man sings a song",)
    assert caplog.messages == [
        "set.tsv: premise is read alone and hypothesis is left out; if the model reads two texts, add "
        "--column sentence2=hypothesis."
    ]
    caplog.clear()
    both = load_task(str(path), {"sentence": "premise", "sentence2": "hypothesis"})
    assert both.instances("test", None, 0)[0].segments == ("a man sings a song", "one sings a song") and caplog.messages == []


def test_a_column_that_is_read_under_another_name_is_not_read_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, "sentence1\tsentence2\tlabel\na song\tone sings\t1\n")
    assert load_task(str(path), {"sentence": "sentence2"}).instances("test", None, 0)[0].segments == ("one sings",)
    assert caplog.messages == [
        "set.tsv: sentence2 is read alone and sentence1 is left out; if the model reads two texts, add "
        "--column sentence2=sentence1."
    ]
    assert load_task(str(path), {"sentence": "sentence1"}).instances("test", None, 0)[0].segments == ("a song", "one sings")
    caplog.clear()
    own = write(tmp_path, "sentence\tsentence2\tlabel\na man sings\tone sings\t1\n", "own.tsv")
    assert load_task(str(own), {"sentence": "sentence2"}).instances("test", None, 0)[0].segments == ("one sings",)
    assert caplog.messages == [
        "own.tsv: sentence2 is read alone and sentence is left out; if the model reads two texts, add "
        "--column sentence2=sentence."
    ]


def test_a_saved_data_set_has_its_splits_and_names_its_classes(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(sentence=datasets.Value("string"), label=datasets.ClassLabel(names=["no", "yes"]))
    data = datasets.Dataset.from_dict({"sentence": ["a b", "c d"], "label": [1, 0]}, features=features)
    datasets.DatasetDict({"train": data, "dev": data.select([1])}).save_to_disk(tmp_path / "mine")
    task = load_task(str(tmp_path / "mine"))
    assert isinstance(task, LabelledTexts)
    assert (task.name, task.classes) == ("file/mine", ("no", "yes"))
    assert task.instances("dev", None, 0) == (Instance("mine/dev/1", ("c d",), ("no",)),)
    with pytest.raises(UsageError, match=r"task 'file/mine' has no split 'test'; it has: train, dev\."):
        task.instances("test", None, 0)


def test_a_file_without_header_is_told_so(tmp_path: Path) -> None:
    path = write(tmp_path, "the film is good .,positive\nit is bad .,negative\n", "set.csv")
    with pytest.raises(UsageError) as caught:
        load_task(str(path))
    assert str(caught.value).endswith(
        " If its first line is a row ('the film is good .', ...), write a line with the names of the columns above it."
    )


def test_objects_are_never_suggested_as_a_column(tmp_path: Path) -> None:
    rows = '{"query": "what is it ?", "class": "POS", "evidences": [[{"text": "a very long text of many words"}]]}\n'
    path = write(tmp_path, rows, "set.jsonl")
    with pytest.raises(UsageError, match=r"it has query, class, label\. Say which column it is, as in `--column sentence=query`"):
        load_task(str(path), {"label": "class"})


def test_a_missing_column_is_named_with_those_there_are_and_what_to_write(tmp_path: Path) -> None:
    path = write(tmp_path, "no\tlong text\tgood\tbad\n1\tthe cats are\tare\tis\n")
    with pytest.raises(UsageError) as caught:
        load_task(str(path))
    assert str(caught.value) == (
        f"{path} has no column sentence; it has no, long text, good, bad. "
        "Say which column it is, as in `--column sentence=long text`."
    )


def test_a_file_that_is_neither_kind_lists_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "a\tb\n1\t2\n")
    with pytest.raises(UsageError) as caught:
        load_task(str(path))
    assert str(caught.value) == (
        f"{path} has neither the columns good and bad (minimal pairs) nor label (labelled texts); it has a, b. "
        "Say which they are, as in `--column sentence=grammatical --column good=correct --column bad=wrong` or "
        "`--column sentence=text --column label=class`."
    )


def test_a_wrong_column_is_refused_with_near_ones(tmp_path: Path) -> None:
    path = write(tmp_path, "sentnce\tlabel\na\t1\n")
    with pytest.raises(
        UnknownName, match=r"no column of set.tsv is called 'sentence': did you mean sentnce\? \(it was named for sentence\)"
    ):
        load_task(str(path), {"sentence": "sentence"})
    with pytest.raises(UnknownName, match=r"no column of a task file is called 'sentense': did you mean sentence or sentence2\?"):
        load_task(str(path), {"sentense": "sentnce"})


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("on_broken=stop", "on_broken must be error or skip, got 'stop'"),
        ("on_brocken=skip", "no setting of task file .* is called 'on_brocken': did you mean on_broken"),
        ("where=condition", "cannot read where='condition': write column=value, several joined by `;`"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path: Path, setting: str, message: str) -> None:
    path = write(tmp_path, PAIRS + "a [MASK]\t\tis\tare\tS\n")
    with pytest.raises(UsageError, match=message):
        load_task(f"{path}:{setting}")


def test_another_split_and_a_bad_limit_are_refused(tmp_path: Path) -> None:
    task = load_task(str(write(tmp_path, PAIRS + "a [MASK]\t\tis\tare\tS\n")))
    with pytest.raises(UsageError, match=r"task 'file/set' has no split 'train'; it has: test\."):
        task.instances("train", None, 0)
    with pytest.raises(UsageError, match="limit must be 1 or more, got 0"):
        task.instances("test", 0, 0)


def test_pairs_reads_text_and_mappings() -> None:
    assert pairs("where", "a=b; c = d=e") == {"a": "b", "c": "d=e"}
    assert pairs("where", {"a": 1}) == {"a": "1"}


def test_marvin_and_linzen_load(shared_data: Path) -> None:
    path = shared_data / "marvin_linzen" / "sample_60_per_condition.tsv"
    with pytest.raises(UsageError, match="Say which column it is, as in `--column sentence=grammatical`"):
        load_task(str(path))
    with pytest.raises(UsageError, match="line 122: the cell good is empty"):
        load_task(str(path), {"sentence": "grammatical"})
    task = load_task(f"{path}:on_broken=skip", {"sentence": "grammatical"})
    assert isinstance(task, MinimalPairs)
    instances = task.instances("test", None, 0)
    assert (len(instances), task.broken) == (4488, 240)
    first = ("the authors are twenty three years old and [MASK] to watch television shows",)
    assert instances[0] == Instance("sample_60_per_condition/1", first, ("like",), ("likes",), "plur_MS_LMV_LMV")
    one = load_task(f"{path}:where=subtask=obj_rel_across_anim", {"sentence": "grammatical"})
    assert len(one.instances("test", None, 0)) == 240
    assert sorted({i.condition for i in one.instances("test", 4, 0)}) == [
        f"{a}_MS_MV_{b}_ES_EV" for a in ("plur", "sing") for b in ("plur", "sing")
    ]


def test_open_sesame_loads(shared_data: Path) -> None:
    path = shared_data / "open_sesame" / "sample_60_per_condition.tsv"
    task = load_task(str(path), {"good": "correct", "bad": "wrong"})
    instances = task.instances("test", None, 0)
    assert len(instances) == 2160
    first = ("her aunt that can eat would hurt [MASK]",)
    assert instances[0] == Instance("sample_60_per_condition/1", first, ("herself",), ("himself",), "F")


@pytest.mark.parametrize(
    ("name", "columns", "count"),
    [
        ("marvin_linzen/pairs_current_part.tsv.gz", {"sentence": "grammatical"}, 125536),
        ("open_sesame/reflexives_part.tsv.gz", {"good": "correct", "bad": "wrong"}, 69229),
    ],
)
@pytest.mark.slow
def test_whole_gzipped_sets_load(shared_data: Path, name: str, columns: dict[str, str], count: int) -> None:
    assert len(load_task(f"{shared_data / name}:on_broken=skip", columns).instances("test", None, 0)) == count


def test_sst2_loads_as_labelled(shared_data: Path) -> None:
    task = load_task(str(shared_data / "sst2" / "dev.tsv"))
    instances = task.instances("test", None, 0)
    assert (task.name, task.head, len(instances), sum(int(i.answer[0]) for i in instances)) == ("file/dev", "label", 872, 444)
    assert instances[0] == Instance("dev/1", ("it 's a charming and often affecting journey .",), (1,))


def test_a_prefix_with_two_words_is_a_pair_whose_gap_is_last(tmp_path: Path) -> None:
    path = write(tmp_path, "prefix\tgood\tbad\ncondition\tis\tare\n".replace("condition", "the author near the guards"))
    (instance,) = load_task(str(path)).instances("test", None, 0)
    assert instance == Instance("set/1", ("the author near the guards [MASK]",), ("is",), ("are",))
    with pytest.raises(UsageError, match="line 2: the cell prefix is empty"):
        load_task(str(write(tmp_path, "prefix\tgood\tbad\n\tis\tare\n", "empty.tsv")))


def test_a_file_may_say_that_the_words_before_decide_and_give_a_counterpart(tmp_path: Path) -> None:
    header = "sentence\tgood\tbad\tleft_to_right\tcounterpart\n"
    text = "the cats [MASK] here .\tare\tis\tTrue\tthe cat [MASK] here .\nthe cats [MASK] here .\tare\tis\t0\t\n"
    first, second = load_task(str(write(tmp_path, header + text))).instances("test", None, 0)
    assert (first.left_to_right, first.counterpart) == (True, ("the cat [MASK] here .",))
    assert (second.left_to_right, second.counterpart) == (False, ())
    assert fingerprint([replace(first, id="x")]) != fingerprint([replace(second, id="x")])
    for row, said in {
        "a [MASK] b\tare\tis\tmaybe\t\n": "left_to_right must be true or false, got 'maybe'",
        "a [MASK] b\tare\tis\t\ta [MASK]\n": "the counterpart must have as many words as 'a [MASK] b'",
        "a [MASK] b\tare\tis\t\t[MASK] a b\n": "and [MASK] at the same place",
    }.items():
        with pytest.raises(UsageError, match=re.escape(said)):
            load_task(str(write(tmp_path, header + row, "broken.tsv")))


def test_published_pairs_of_blimp_say_whether_their_prefix_decides(tmp_path: Path) -> None:
    rows = [
        {"sentence_good": "Ann hurt herself.", "sentence_bad": "Ann hurt himself.", "one_prefix_method": True},
        {"sentence_good": "These cats slept.", "sentence_bad": "This cats slept.", "one_prefix_method": False},
    ]
    path = write(tmp_path, "\n".join(map(json.dumps, rows)), "paradigm.jsonl")
    assert [i.left_to_right for i in load_task(str(path)).instances("test", None, 0)] == [True, False]


def test_the_record_is_told_which_rows_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, PAIRS + "the cats [MASK] here .\t\tare\tis\tP\nno gap\t\tare\tis\tP\n")
    task: Any = load_task(f"{path}:on_broken=skip")
    assert task.left_out("test").startswith("1 of 2 rows of set.tsv left out, the first: line 3: there is no [MASK]")
    whole: Any = load_task(str(write(tmp_path, PAIRS + "the cats [MASK] here .\t\tare\tis\tP\n", "whole.tsv")))
    assert whole.left_out("test") == ""


def test_the_counterpart_of_a_prefix_is_a_prefix(tmp_path: Path) -> None:
    path = write(tmp_path, "prefix\tgood\tbad\tcounterpart\nthe author\tis\tare\tthe authors\n")
    (instance,) = load_task(str(path)).instances("test", None, 0)
    assert instance.counterpart == ("the authors [MASK]",)


def test_published_prompts_of_indirect_objects_are_prefixes_with_counterparts(shared_data: Path) -> None:
    columns = {"prefix": "clean", "good": "indirect_object", "bad": "subject", "counterpart": "corrupted_swap"}
    instances = load_task(str(shared_data / "mechanistic" / "ioi.tsv"), columns).instances("test", None, 0)
    assert len(instances) == 499
    for instance in instances:
        words, others = instance.segments[0].split(), instance.counterpart[0].split()
        changed = [(word, other) for word, other in zip(words, others, strict=True) if word != other]
        assert changed == [(instance.against[0], instance.answer[0])] and words[-1] == "[MASK]"

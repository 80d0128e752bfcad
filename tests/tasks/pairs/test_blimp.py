"""BLiMP: which paradigms are tasks, what pairs become, what is left out and counted, and refusals."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from flowgauge.core.errors import NoSplit, UnknownName, UsageError
from flowgauge.core.registry import settings
from flowgauge.tasks.instance import Instance, Task
from flowgauge.tasks.pairs import blimp as module
from flowgauge.tasks.pairs.blimp import LEFT_TO_RIGHT, PARADIGMS, SEVERAL_WORDS, WHOLE_SENTENCE, Blimp
from flowgauge.tasks.registry import TASKS, load_task

GENDER = "anaphor_gender_agreement"
PAIRS = [("Katherine can't help herself.", "Katherine can't help himself."), ("Bob hurt himself.", "Bob hurt herself.")]
SEVERAL = ("Bob can hurt himself.", "Can Bob hurt himself.")


def published(folder: Path, *pairs: tuple[str, str], paradigm: str = GENDER) -> Path:
    """A paradigm's file as it is published."""
    rows = [
        {"sentence_good": good, "sentence_bad": bad, "UID": paradigm, "pairID": str(n), "one_prefix_method": True}
        for n, (good, bad) in enumerate(pairs)
    ]
    (folder / "blimp").mkdir(exist_ok=True)
    (folder / "blimp" / f"{paradigm}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return folder


def task(folder: Path, paradigm: str = GENDER) -> Any:
    return load_task({"name": f"blimp/{paradigm}", "data_dir": str(folder)})


def test_all_67_paradigms_are_known_and_those_with_a_contrast_of_one_word_are_tasks() -> None:
    assert len({*LEFT_TO_RIGHT, *WHOLE_SENTENCE, *SEVERAL_WORDS}) == 67 == len(PARADIGMS) + len(SEVERAL_WORDS)
    assert [name for name in TASKS.builtin if name.startswith("blimp/")] == [f"blimp/{paradigm}" for paradigm in PARADIGMS]
    for name in (f"blimp/{PARADIGMS[0]}", f"blimp/{PARADIGMS[-1]}"):
        made: Any = TASKS.create(name)
        assert (
            isinstance(TASKS.create(name), Task)
            and made.name == name
            and settings(made) == {"paradigm": made.paradigm, "data_dir": None}
        )
        assert TASKS.docs()[name].source == made.reference and made.paradigm.replace("_", " ") in made.doc


def test_a_pair_becomes_a_sentence_with_a_gap_where_it_differs(tmp_path: Path) -> None:
    made = task(published(tmp_path, *PAIRS))
    assert made.source == f"data folder: blimp/{GENDER}.jsonl" and made.left_out("test") == ""
    first, second = made.instances("test", None, 0)
    assert first == Instance(
        f"blimp/{GENDER}/0", ("Katherine can't help [MASK].",), ("herself",), ("himself",), left_to_right=True
    )
    assert (second.segments, second.answer) == (("Bob hurt [MASK].",), ("himself",))
    assert made.instances("test", 1, 0)[0] in (first, second)
    with pytest.raises(NoSplit, match="it has: test"):
        made.instances("train", None, 0)


def test_the_words_before_decide_only_where_the_authors_say_so(tmp_path: Path) -> None:
    whole = task(published(tmp_path, ("Some dogs bark.", "This dogs bark."), paradigm="determiner_noun_agreement_2"),
                 "determiner_noun_agreement_2")  # fmt: skip
    (instance,) = whole.instances("test", None, 0)
    assert not instance.left_to_right and instance.segments == ("[MASK] dogs bark.",)


def test_pairs_that_differ_in_several_words_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        made = task(published(tmp_path, PAIRS[0], SEVERAL, PAIRS[1]))
        assert [i.id[-1] for i in made.instances("test", None, 0)] == ["0", "2"]
    said = f"1 of 3 pairs of blimp/{GENDER} are left out, the first: line 2: two sentences of a pair must differ in one word"
    assert said in caplog.text and made.left_out("test").startswith(said) and str(tmp_path) not in made.left_out("test")
    with pytest.raises(UsageError, match=r"no pair of blimp/.* differs in one word; the first: line 1"):
        task(published(tmp_path, SEVERAL)).instances("test", None, 0)


def test_one_table_of_all_paradigms_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "blimp").mkdir()
    rows = ["paradigm\tpair_id\tgrammatical\tungrammatical", *(f"{GENDER}\t{n}\t{a}\t{b}" for n, (a, b) in enumerate(PAIRS))]
    (tmp_path / "blimp" / "blimp.tsv").write_text("\n".join([*rows, "passive_1\t9\tA is seen.\tA is slept."]) + "\n")
    assert [i.id for i in task(tmp_path).instances("test", None, 0)] == [f"blimp/{GENDER}/0", f"blimp/{GENDER}/1"]
    assert [i.id for i in task(tmp_path, "passive_1").instances("test", None, 0)] == ["blimp/passive_1/9"]
    with pytest.raises(UsageError, match="has no row of the paradigm passive_2"):
        task(tmp_path, "passive_2").instances("test", None, 0)


def test_without_a_folder_the_hub_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWGAUGE_DATA", raising=False)
    asked = []

    def hub(name: str, hub: tuple[str, str], split: str, remedy: str) -> list[dict[str, Any]]:
        asked.append((hub, split))
        return [{"sentence_good": good, "sentence_bad": bad, "pair_id": n} for n, (good, bad) in enumerate(PAIRS)]

    monkeypatch.setattr(module, "hub_table", hub)
    made = Blimp(GENDER)
    assert [i.id for i in made.instances()] == [f"blimp/{GENDER}/0", f"blimp/{GENDER}/1"]
    assert asked == [(("nyu-mll/blimp", GENDER), "train")] and made.source == f"hub nyu-mll/blimp {GENDER}: train"


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="adjunct_island differ in several words or in their order, so that no single word"):
        load_task("blimp/adjunct_island")
    with pytest.raises(UsageError, match="adjunct_island differ in several words"):
        Blimp("adjunct_island")
    with pytest.raises(UnknownName, match=f"no task is called 'blimp/anaphor_gender': did you mean blimp/{GENDER}"):
        load_task("blimp/anaphor_gender")
    with pytest.raises(UnknownName, match="no paradigm of BLiMP is called 'passive': did you mean passive_2"):
        Blimp("passive")
    with pytest.raises(UsageError, match=rf"finds no blimp/{GENDER}\.\* in .*: put {GENDER}\.jsonl of https"):
        task(tmp_path).instances("test", None, 0)
    (tmp_path / "blimp").mkdir()
    (tmp_path / "blimp" / f"{GENDER}.tsv").write_text("good\tbad\na\tb\n")
    with pytest.raises(UsageError, match="has no column sentence_good or grammatical; it has good, bad"):
        task(tmp_path).instances("test", None, 0)


def test_the_published_pairs_are_those_that_the_lists_of_paradigms_say(shared_data: Path) -> None:
    """The three lists are read off the data: one word or several, and the authors' own flag."""
    import csv

    import pandas as pd

    rows = pd.read_csv(shared_data / "blimp/blimp.tsv.gz", sep="\t", quoting=csv.QUOTE_NONE, dtype=str, keep_default_na=False)
    one_word = rows[rows["target_idx"] != ""].groupby("paradigm").size()
    assert set(one_word.index) == set(PARADIGMS) and set(rows["paradigm"]) - set(PARADIGMS) == set(SEVERAL_WORDS)
    flagged = set(rows[rows["one_prefix_method"] == "1"]["paradigm"])
    assert flagged & set(PARADIGMS) == set(LEFT_TO_RIGHT)
    for paradigm in (GENDER, "passive_1", "wh_island"):
        instances = task(shared_data, paradigm).instances("test", None, 0)
        assert len(instances) == one_word[paradigm] and bool(task(shared_data, paradigm).left_out("test")) == (
            len(instances) < 1000
        )

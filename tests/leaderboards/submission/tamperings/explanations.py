"""Forged: explanations, and what is stored of the sentences that they explain."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flowgauge.benchmark.store.explanation_file import ExplainedSentence, Part, from_bytes, to_bytes
from flowgauge.benchmark.store.sums import MARK
from flowgauge.methods.explanation import Explanation

from ...forged import cell, edit_rows
from .catalogue import AOPC, caught_by
from .edits import edit_part, edit_record, edit_sentence, in_one_cluster


@caught_by("recomputed rows differ")
def explanations(bundle: Path) -> None:
    def change(part: Part) -> Part:
        turned = tuple(replace(one, tokens=None if one.tokens is None else one.tokens[::-1].copy()) for one in part.gold)
        return replace(part, gold=turned, predicted=turned)

    edit_part(bundle, "saliency", change)


@caught_by("is predicted correctly, but has another explanation of the predicted answer")
def explanations_of_the_predicted_answer(bundle: Path) -> None:
    def change(part: Part) -> Part:
        other = Explanation(tokens=np.arange(len(part.sentences[0].tokens), dtype=float))
        return replace(part, predicted=(other, *part.predicted[1:]))

    edit_part(bundle, "saliency", change)


@caught_by("its explanations have no place in the model")
def explanations_of_another_shape(bundle: Path) -> None:
    def change(part: Part) -> Part:
        heads = tuple(replace(one, heads=np.zeros((9, 9))) for one in part.gold)
        return replace(part, gold=heads, predicted=heads)

    edit_part(bundle, "saliency", change)


@caught_by("1 of 4 instances of the task are not explained")
def a_hard_sentence_left_out(bundle: Path) -> None:
    """The cells are as if they had been run on three sentences."""
    for method in ("saliency", "random", "influence-patterns"):
        folder, cost = cell(bundle, method), dict[str, float]()
        (path,) = (folder / "explanations").iterdir()
        part = from_bytes(path.read_bytes())
        first, *left = part.sentences
        cost |= {**part.cost, "explanations": int(part.cost["explanations"]) - (1 if first.correct else 2)}
        path.write_bytes(to_bytes(Part(tuple(left), part.gold[1:], part.predicted[1:], cost)))
        for scores in (folder / "scores").iterdir():
            edit_rows(folder, partial(_without, first.id), scores.stem)
        stored = json.loads((folder / "record.json").read_text())
        seconds = (cost["own_seconds"] + cost["charged_seconds"]) / cost["explanations"]
        passes = cost["passes"] / cost["explanations"]
        processor = cost["processor"] / cost["explanations"]
        costs = {"explanations": cost["explanations"], "seconds": seconds, "passes": passes, "processor": processor}
        costs = stored["cost"] | costs
        edit_record(bundle, method, instances=3, correct=sum(bool(sentence.correct) for sentence in left), cost=costs)


def _without(instance: str, rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["instance"] != instance].reset_index(drop=True)


def sentences_of_choice() -> None:
    """Each field that is stored of a sentence."""
    changes: dict[str, Callable[[ExplainedSentence], Any]] = {
        "tokens": lambda one: ("[CLS]", "Buy", *one.tokens[2:]),
        "slots": lambda one: ("SUBJ", *one.slots[1:]),
        "words": lambda one: ((0, 0), *one.words[1:]),
        "target": lambda one: 0,
        "answer": lambda one: ("never",),
        "against": lambda one: ("never",),
        "predicted": lambda one: ("never",),
    }
    for field, change in changes.items():

        def tamper(bundle: Path, field: str = field, change: Callable[[ExplainedSentence], Any] = change) -> None:
            edit_sentence(bundle, "saliency", lambda one: replace(one, **{field: change(one)}))

        caught_by(f"{field} of ", f"{field}_of_a_sentence")(tamper)


sentences_of_choice()


@caught_by("cluster of ")
def clusters_of_sentences_and_rows(bundle: Path) -> None:
    """With all its rows changed alike, so that the cell is consistent."""
    edit_part(
        bundle, "saliency",
        lambda part: replace(part, sentences=tuple(replace(one, cluster="passage 7") for one in part.sentences)),
    )  # fmt: skip
    edit_rows(cell(bundle, "saliency"), in_one_cluster, AOPC)


@caught_by("condition of ")
def conditions_of_sentences_and_rows(bundle: Path) -> None:
    """With its own rows changed alike, so that the cell is consistent."""
    edit_part(
        bundle, "saliency", lambda part: replace(part, sentences=tuple(replace(one, condition="easy") for one in part.sentences))
    )
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(condition="easy"), AOPC)


@caught_by("it does not have the sha256 that is noted in it")
def a_seal(bundle: Path) -> None:
    """A board's readers would take such a file for damaged."""
    (path,) = (cell(bundle, "saliency") / "explanations").iterdir()
    data = path.read_bytes()
    start = data.rindex(MARK) + len(MARK)
    path.write_bytes(data[:start] + b"f" * 64 + data[start + 64 :])

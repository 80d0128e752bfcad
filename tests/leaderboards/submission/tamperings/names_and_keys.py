"""Forged: names of methods, models and tasks, keys, and the places of cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flowgauge.benchmark.store.key import short_hash

from ...forged import cell, edit_json, rekey
from .catalogue import caught_by
from .edits import edit_record


def names_of_methods() -> None:
    for name, words in {
        "influence_patterns": "may be mistaken for flowgauge's own influence-patterns",
        "lntegrated-gradients": "may be mistaken for flowgauge's own integrated-gradients",
        "saliency2": "may be mistaken for flowgauge's own saliency",
        "\uff53aliency": "the manifest names",
        "m\u00e9thode": "the manifest names",
        "": "a method cannot be called ''",
    }.items():

        def tamper(bundle: Path, name: str = name) -> None:
            def change(stored: dict[str, Any]) -> None:
                stored["key"]["method"] |= {"name": name, "source": "ab" * 32}
                stored["method"] = name

            rekey(bundle, "saliency", change)

        caught_by(words, f"a_method_called_{name!a}")(tamper)


names_of_methods()


@caught_by("cannot be built with its settings")
def a_setting_that_the_method_does_not_have(bundle: Path) -> None:
    rekey(bundle, "saliency", lambda s: (s["settings"].update(x=1), s["key"]["method"]["settings"].update(x=1)))


@caught_by("is another: its producers is")
def a_method_with_more_in_its_key(bundle: Path) -> None:
    rekey(bundle, "saliency", lambda stored: stored["key"]["method"].update(producers="me"))


@caught_by("its seed is 3, and saliency does not draw")
def a_seed_of_a_method_that_does_not_draw(bundle: Path) -> None:
    rekey(bundle, "saliency", lambda stored: (stored.update(seed=3), stored["key"].update(seed=3)))


@caught_by("may be mistaken for flowgauge's own agreement-bert")
def a_model_by_a_similar_name(bundle: Path) -> None:
    for record in bundle.glob("cells/**/record.json"):
        edit_json(record, lambda data: data | {"model": "agreement_bert"})
    (bundle / "cells" / "agreement-bert").rename(bundle / "cells" / "agreement_bert")


@caught_by("its model is called 'my-bert', and is 'agreement-bert'")
def a_model_by_another_name(bundle: Path) -> None:
    for record in bundle.glob("cells/**/record.json"):
        edit_json(record, lambda data: data | {"model": "my-bert"})
    (bundle / "cells" / "agreement-bert").rename(bundle / "cells" / "my-bert")


@caught_by("the name of its task is 'sva/subj', here 'sva/obj'")
def a_task_by_the_name_of_another(bundle: Path) -> None:
    for record in [*bundle.glob("cells/**/record.json")]:
        stored = json.loads(record.read_text())
        stored["key"]["task"]["name"] = stored["task"] = "sva/subj"
        stored["cell"] = short_hash(stored["key"])
        record.write_text(json.dumps(stored))
        target = bundle / "cells" / "agreement-bert" / "sva" / "subj" / f"{stored['method']}-{stored['cell']}"
        target.parent.mkdir(exist_ok=True)
        record.parent.rename(target)


@caught_by("has other instances now")
def another_task(bundle: Path) -> None:
    for record in bundle.glob("cells/**/record.json"):
        edit_json(record, lambda data: data | {"asked": data["asked"] | {"task": {"name": "sva/subj"}}})


@caught_by("the version of its task is 9")
def another_version_of_the_task(bundle: Path) -> None:
    rekey(bundle, "saliency", lambda stored: stored["key"]["task"].update(version=9))


@caught_by("expected dtype, fingerprint")
def more_in_the_key(bundle: Path) -> None:
    rekey(bundle, "saliency", lambda stored: stored["key"].update(note="the best"))


@caught_by("is not the one that sva/obj was explained with")
def the_fingerprint_of_another_model(bundle: Path) -> None:
    rekey(bundle, "saliency", lambda stored: stored["key"].update(fingerprint="0" * 64))


@caught_by("its name is not the hash of its key")
def a_key_that_does_not_fit_the_name(bundle: Path) -> None:
    edit_json(cell(bundle, "saliency") / "record.json", lambda data: data["key"]["task"].update(version=9))


@caught_by("it lies in another folder than model, task and name of its record say")
def a_cell_in_the_folder_of_another_task(bundle: Path) -> None:
    folder = bundle / "cells" / "agreement-bert" / "sva"
    (folder / "obj").rename(folder / "subj")


@caught_by("its status is partial")
def an_unfinished_cell(bundle: Path) -> None:
    edit_record(bundle, "saliency", status="partial")

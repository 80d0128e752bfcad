"""Forged: paths, so that a file or a pipe of the submitter's choice is opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...forged import cell, edit_json
from .catalogue import OF_RECORDS, caught_by, refused_by


def _asked(bundle: Path, **asked: Any) -> None:
    edit_json(cell(bundle, "saliency") / "record.json", lambda data: data | {"asked": data["asked"] | asked})


def _pipe(bundle: Path, name: str) -> str:
    path = bundle.parent / name
    os.mkfifo(path)
    return str(path)


@caught_by("name your copy of a file with --task")
def a_task_that_is_a_pipe(bundle: Path) -> None:
    _asked(bundle, task={"name": _pipe(bundle, "pairs.tsv")})


@caught_by("is not installed here, and files and folders of a submitter's choice are not opened")
def a_task_that_is_a_pipe_of_any_name(bundle: Path) -> None:
    _asked(bundle, task=_pipe(bundle, "pairs"))


@caught_by("code that comes with a bundle is not run")
def a_task_that_is_code(bundle: Path) -> None:
    _asked(bundle, task={"name": "/tmp/mine.py:task"})


@caught_by("files and folders of a submitter's choice are not opened: say where yours is with --data-dir")
def a_data_folder(bundle: Path) -> None:
    _asked(bundle, task={"name": "sst2", "data_dir": str(bundle)})


@caught_by("files and folders of a submitter's choice are not opened: say where yours is with --model")
def a_model_that_is_a_pipe(bundle: Path) -> None:
    _asked(bundle, model=_pipe(bundle, "model"))


@refused_by("files that its record lists are not in it, first ../../../../../evil.json", OF_RECORDS)
def a_file_outside_the_board(bundle: Path) -> None:
    edit_json(cell(bundle, "saliency") / "record.json", lambda data: data["files"].update({"../../../../../evil.json": "0" * 64}))

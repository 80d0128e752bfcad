"""Forged: the manifest, and the files that it lists."""

from __future__ import annotations

import os
from pathlib import Path

from ...forged import cell, edit_json
from .catalogue import refused_by


@refused_by("is not a manifest")
def a_schema_that_is_true(bundle: Path) -> None:
    edit_json(bundle / "manifest.json", lambda data: data | {"schema_version": True})


@refused_by("is not a manifest")
def sizes_that_are_texts(bundle: Path) -> None:
    edit_json(bundle / "manifest.json", lambda data: next(iter(data["files"].values())).update(bytes="7"))


@refused_by("the key 'submitter' stands twice")
def a_key_of_the_manifest_twice(bundle: Path) -> None:
    path = bundle / "manifest.json"
    path.write_text(path.read_text().rstrip()[:-1] + ', "submitter": "another"}')


@refused_by("is not a manifest")
def a_blank_submitter(bundle: Path) -> None:
    edit_json(bundle / "manifest.json", lambda data: data | {"submitter": " "})


@refused_by("has another sha256 than the manifest says")
def a_file_that_was_changed(bundle: Path) -> None:
    path = cell(bundle, "saliency") / "record.json"
    path.write_text(path.read_text().replace("saliency", "SALIENCY"))


@refused_by("neither a plain file nor a folder")
def a_pipe_in_the_place_of_a_file(bundle: Path) -> None:
    path = cell(bundle, "saliency") / "record.json"
    path.unlink()
    os.mkfifo(path)


@refused_by("manifest.json is no plain file")
def a_pipe_in_the_place_of_the_manifest(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()
    os.mkfifo(bundle / "manifest.json")

"""Bundles that would do harm: names, links, sizes and contents that are refused or become a problem, and never a crash."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowgauge.leaderboards.submission.bundle import BadBundle, read_manifest
from flowgauge.leaderboards.submission.verify import verify

from ..forged import cell, edit_json, problems, resign

HOSTILE = [
    "../../etc/passwd.json",
    "/etc/passwd.json",
    "cells/../../x/y.json",
    "cells/a/b/c.pkl",
    "cells/a/b/c/\x00.json",
    "cells/a/./b.json",
    "cells/fits/bert/config.json",
    "cells/fits/bert/b/weights.safetensors",
    "cells\\a\\b\\c.json",
    f"cells/a/b/{'x' * 300}.json",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_leave_the_bundle_or_are_no_data_are_refused(bundle: Path, name: str) -> None:
    edit_json(bundle / "manifest.json", lambda data: data["files"].update({name: {"sha256": "0" * 64, "bytes": 1}}))
    with pytest.raises(BadBundle, match="the manifest names"):
        read_manifest(bundle)


def test_links_are_refused_and_not_followed(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    os.symlink(tmp_path / "secret.json", cell(bundle) / "scores" / "link.json")
    with pytest.raises(BadBundle, match="neither a plain file nor a folder"):
        verify(bundle)
    (cell(bundle) / "scores" / "link.json").unlink()
    os.symlink(tmp_path, bundle / "cells" / "up")
    with pytest.raises(BadBundle, match="neither a plain file nor a folder"):
        verify(bundle)


def test_files_beside_the_manifest_and_missing_ones_are_refused(bundle: Path) -> None:
    (bundle / "cells" / "run.py").write_text("print()")
    with pytest.raises(BadBundle, match=r"'cells/run\.py' is not in the manifest"):
        verify(bundle)
    (bundle / "cells" / "run.py").unlink()
    next(cell(bundle).glob("scores/*")).unlink()
    with pytest.raises(BadBundle, match="is missing"):
        verify(bundle)


def test_sizes_beyond_the_limits_are_refused_before_anything_is_read(bundle: Path) -> None:
    edit_json(bundle / "manifest.json", lambda data: next(iter(data["files"].values())).update(bytes=2**40))
    with pytest.raises(BadBundle, match="less than or equal to 2147483648"):
        read_manifest(bundle)


def test_an_array_that_claims_to_be_huge_is_a_problem_and_no_crash(bundle: Path) -> None:
    path = next(cell(bundle).glob("explanations/*"))
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    name = next(k for k in header if k.endswith("|values"))
    header[name]["shape"] = [2**50]
    new = json.dumps(header).encode()
    path.write_bytes(len(new).to_bytes(8, "little") + new + data[8 + size :])
    resign(bundle)
    assert "cannot be read" in problems(bundle)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda rows: rows.take(np.zeros(10_001, int)), "it has 10001 rows, more than 10000"),
        (lambda rows: rows.assign(reason="x" * 20_000), "it has texts of more than 10000 bytes"),
        (lambda rows: rows.assign(value="much"), "its column 'value' is of string, expected float64"),
        (lambda rows: rows.assign(instance=range(len(rows))), "its column 'instance' is of int64, expected string"),
        (lambda rows: rows.drop(columns="reason"), "its rows have the columns"),
    ],
)
def test_tables_that_are_huge_or_odd_are_a_problem_and_no_crash(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[pd.DataFrame], pd.DataFrame], what: str
) -> None:
    path = cell(bundle) / "scores" / "comprehensiveness@1.parquet"
    table = pq.read_table(path)
    new = type(table).from_pandas(change(table.to_pandas()), preserve_index=False)
    pq.write_table(new.replace_schema_metadata({**new.schema.metadata, **table.schema.metadata}), path)
    resign(bundle)
    monkeypatch.setattr("flowgauge.leaderboards.submission.consistency.ROWS", 10_000)
    assert what in "\n".join(p.what for p in verify(bundle).problems)


@pytest.mark.parametrize("text", ["[]", "{}", "not json", "[" * 100_000, '{"schema_version": "x"}'])
def test_what_is_no_manifest_is_one_line(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(BadBundle, match="is not a manifest"):
        read_manifest(bundle)


@pytest.mark.parametrize(
    "name", ["cells/fits/obj/attention-0/record.json", "cells/fits/a-0/other.json", "cells/m/t/c-0/notes.json"]
)
def test_no_file_lies_where_nothing_checks_it(bundle: Path, name: str) -> None:
    (bundle / name).parent.mkdir(parents=True)
    (bundle / name).write_text((cell(bundle) / "record.json").read_text())
    resign(bundle)
    with pytest.raises(BadBundle, match="the manifest names"):
        verify(bundle)


def test_a_cell_in_the_place_of_another_is_caught(bundle: Path) -> None:
    shutil.copytree(cell(bundle), bundle / "cells" / "other" / "sva" / "obj" / cell(bundle).name)
    resign(bundle)
    (problem,) = verify(bundle).problems
    assert "lies in another folder" in problem.what


@pytest.mark.parametrize("name", ["manifest.json", "record.json"])
def test_an_infinite_schema_is_one_line(bundle: Path, name: str) -> None:
    edit_json(bundle / name if name == "manifest.json" else cell(bundle) / name, lambda data: data | {"schema_version": math.inf})
    if name == "record.json":
        resign(bundle)
        assert "cannot be read" in verify(bundle).problems[0].what
    else:
        with pytest.raises(BadBundle, match="is not a manifest"):
            verify(bundle)


@pytest.mark.parametrize("key", [{"method": "x"}, {"task": []}, {"method": None}])
def test_a_key_of_another_shape_is_a_problem(bundle: Path, key: dict[str, Any]) -> None:
    edit_json(cell(bundle) / "record.json", lambda data: data | {"key": data["key"] | key})
    resign(bundle)
    assert "its key does not describe" in verify(bundle).problems[0].what


def _safetensors(header: str) -> bytes:
    return len(header).to_bytes(8, "little") + header.encode()


def _head(sentences: str, cost: str = "{}") -> bytes:
    said = f'{{"schema": 1, "sentences": {sentences}, "cost": {cost}}}'
    return _safetensors(json.dumps({"__metadata__": {"flowgauge": said}}))


@pytest.mark.parametrize(
    "data",
    [_safetensors('"text"'), _safetensors("[" * 100_000), _head('["a"]'), _head("[]", "5"), _head('[{"id": {}}]')],
    ids=["text", "deep", "sentence", "cost", "id"],
)
def test_explanations_with_any_header_are_a_problem_and_no_crash(bundle: Path, data: bytes) -> None:
    next(cell(bundle).glob("explanations/*")).write_bytes(data)
    resign(bundle)
    assert "its explanations cannot be read" in verify(bundle).problems[0].what


@pytest.mark.parametrize(
    ("column", "value"), [("value", "x"), ("instance", None), ("instance", 1), ("variant", None), ("draw", "a"), ("reason", 1)]
)
def test_rows_of_another_kind_are_a_problem_and_no_crash(bundle: Path, column: str, value: Any) -> None:
    path = cell(bundle) / "scores" / "ablated_accuracy@1.parquet"
    table = pq.read_table(path)
    place, kind = table.schema.get_field_index(column), pa.string() if value is None else None
    pq.write_table(table.set_column(place, column, pa.array([value] * len(table), kind)), path)
    resign(bundle)
    assert f"column {column!r}" in verify(bundle).problems[0].what


def test_rows_that_cannot_be_decoded_are_a_problem_and_no_crash(bundle: Path) -> None:
    path = cell(bundle) / "scores" / "ablated_accuracy@1.parquet"
    data = bytearray(path.read_bytes())
    data[4:200] = b"\xff" * 196
    path.write_bytes(data)
    resign(bundle)
    assert "are not whole" in verify(bundle).problems[0].what

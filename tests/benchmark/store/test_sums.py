"""Seals: sums that a file holds of itself."""

from __future__ import annotations

import json

import pytest

from flowgauge.benchmark.store.sums import BLANK, DamagedFile, check, file_sum, seal, sealed_json, without_seal


def test_any_changed_byte_of_a_sealed_file_is_noticed_or_leaves_all_others_as_they_were() -> None:
    data = sealed_json('{\n "value": 0.5,\n "text": "a"\n}')
    check(data, "x")
    assert without_seal(json.loads(data)) == {"value": 0.5, "text": "a"}
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        try:
            check(changed, "x")
        except DamagedFile:
            continue
        assert b"flowgauge-seal:" not in changed and data.index(b"flowgauge-seal:") <= place < data.index(b"flowgauge-seal:") + 15


def test_a_cut_file_and_another_sum_are_damage_and_a_file_without_a_seal_is_not() -> None:
    sealed = seal(f"weights {BLANK} and more".encode())
    with pytest.raises(DamagedFile, match="w is damaged: it does not have the sha256 that is noted in it"):
        check(sealed[:-1], "w")
    with pytest.raises(DamagedFile, match="w is damaged: its sha256 is not the one that was recorded"):
        check(sealed, "w", "0" * 64)
    check(sealed[:-1], "w", seals=False)
    check(b"older", "w")


def test_the_sum_of_a_file_is_that_of_its_bytes(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sum(tmp_path / "a")[:8] == "ba7816bf"

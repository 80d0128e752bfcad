"""The fingerprint: the same everywhere, different when anything differs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from flowgauge.core.errors import UsageError
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.fingerprint import fingerprint
from flowgauge.tasks.instance import Instance
from flowgauge.tasks.pairs.greater_than import GreaterThan
from flowgauge.tasks.pairs.indirect_objects import IndirectObjects

ONE = Instance(
    "a", ("the café [MASK] .",), ("is",), ("are",), "S", ("the", "SUBJ", "[MASK]", "."), {"SUBJ": "café", "weights": (0.5, 1)}
)
VALUE = "17db1ad8d75097954c7e933dbeff9fbf8a85b8523820f01acfc4a0ea3a155f14"
CHANGES: list[dict[str, Any]] = [
    {"id": "b"},
    {"segments": ("a café [MASK] .",), "slots": ()},
    {"segments": ("the café", "[MASK] .")},
    {"answer": ("was",)},
    {"answer": (1,)},
    {"against": ("were",)},
    {"against": ()},
    {"condition": "P"},
    {"slots": ()},
    {"truth": {}},
    {"truth": {"SUBJ": "café", "weights": (0.5, 2)}},
    {"also": (("was",),), "against": ()},
    {"cluster": "passage 7"},
    {"slots": (), "left_to_right": True},
    {"slots": (), "counterpart": ("the cafés [MASK] .",)},
]


def test_it_has_a_fixed_value() -> None:
    assert fingerprint([ONE]) == VALUE


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: next(iter(c)))
def test_any_changed_field_changes_it(change: dict[str, Any]) -> None:
    assert fingerprint([replace(ONE, **change)]) != VALUE


def test_what_follows_from_a_template_is_left_out() -> None:
    assert fingerprint([replace(ONE, left_to_right=True, counterpart=("the cafés [MASK] .",))]) == VALUE
    plain = replace(ONE, slots=())
    assert fingerprint([replace(plain, left_to_right=True)]) != fingerprint([plain])
    assert fingerprint([replace(plain, counterpart=("the cafés [MASK] .",))]) != fingerprint([plain])


def test_a_number_is_not_its_text() -> None:
    assert fingerprint([Instance("a", ("x",), (1,))]) != fingerprint([Instance("a", ("x",), ("1",))])


def test_order_and_count_matter() -> None:
    two = replace(ONE, id="b")
    assert len({fingerprint(x) for x in ([ONE, two], [two, ONE], [ONE], [ONE, ONE], [])}) == 5


def test_the_order_of_a_mapping_does_not_matter() -> None:
    assert fingerprint([replace(ONE, truth={"weights": (0.5, 1), "SUBJ": "café"})]) == VALUE


def test_numpy_values_and_sets_count_as_what_they_hold() -> None:
    plain, numpy = (
        replace(ONE, truth={"a": [1, 2], "b": 0.5, "c": ["x", "y"]}),
        replace(ONE, truth={"a": np.array([1, 2]), "b": np.float64(0.5), "c": {"y", "x"}}),
    )
    assert fingerprint([plain]) == fingerprint([numpy])


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(UsageError, match="instance 'a' holds a object, which cannot be fingerprinted"):
        fingerprint([replace(ONE, truth={"x": object()})])


def test_the_default_instances_are_those_that_results_were_published_for() -> None:
    """A change here moves scores: raise `version` in lexicon.toml and say so under "Scores" in the change log."""
    assert (
        fingerprint(AgreementTask("sva/obj").instances("test", None, 0))
        == "7bcbf0b27f12b40b0a8f7fee8d3801286fc0adcf0a5e7001e227eea707c01817"
    )
    assert (
        fingerprint(AgreementTask("ra/ga").instances("test", None, 0))
        == "a10d5f54ff4e2fdedfe1ee5f732036e9616e441c81c37971035ac02c0521162c"
    )


def test_the_drawn_tasks_keep_their_instances() -> None:
    """A change here moves scores: raise the task's `version` and say so under "Scores" in the change log."""
    assert fingerprint(IndirectObjects().instances()) == "634a6d2fed82ccffdf1ee07fbe8d344bf62b733bdb1a9b9a96599e8b3ebe880a"
    assert fingerprint(GreaterThan().instances()) == "e3fd00e3985f2bacf0769bfd4144ed6136c7fd3ad62266b421aa24d2623bc4cc"


def test_another_process_with_another_hash_seed_agrees() -> None:
    code = (
        "from flowgauge.tasks.agreement import AgreementTask; from flowgauge.tasks.fingerprint import fingerprint; "
        "print(fingerprint(AgreementTask('ra/na', 5).instances()))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {fingerprint(AgreementTask("ra/na", 5).instances())}

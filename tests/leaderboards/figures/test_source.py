"""Explained sentences as figures read them from a store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowgauge.core.errors import NotApplicable, UnknownName, UsageError
from flowgauge.leaderboards.figures.source import ExplanationSource, check_instances, of_condition, one_a_condition


def test_instances_by_default_are_one_a_condition(drawn_store: str):
    source = ExplanationSource(drawn_store)
    explained = source.explained(source.groups[0], "influence-patterns")
    assert one_a_condition(explained) == ["c", "a"]


def test_conditions_limit_sentences_and_unknown_ones_are_named(drawn_store: str):
    source = ExplanationSource(drawn_store)
    explained = source.explained(source.groups[0], "attention")
    assert (of_condition(explained, "S"), of_condition(explained, None)) == (["a", "b"], ["a", "b", "c"])
    with pytest.raises(UnknownName, match="condition of sva/obj"):
        of_condition(explained, "PS")
    with pytest.raises(NotApplicable, match="attention has no explanations of sva/obj"):
        of_condition(replace(explained, sentences={}), None)


def test_labels_are_those_of_the_method_or_of_the_default(drawn_store: str):
    source = ExplanationSource(drawn_store)
    group = source.groups[0]
    assert source.labels(group) == ["influence-patterns"] and source.labels(group, ["random"]) == ["random"]
    named = ExplanationSource(drawn_store, method="attention")
    assert named.labels(named.groups[0], ["random"]) == ["attention"]
    reference = source.reference(group)
    assert reference is not None and (reference.label, reference.unit) == ("influence-patterns", "logits")


def test_unknown_instances_are_named_with_near_matches():
    check_instances(["sva/obj/1"], ["sva/obj/1", "sva/obj/2"])
    with pytest.raises(UsageError, match="no instance among the 2 explained is called 'sva/obj/3': did you mean sva/obj/"):
        check_instances(["sva/obj/3"], ["sva/obj/1", "sva/obj/2"])

"""`ground_truth` on explanations whose agreement with a path is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.nodes.ground_truth import PlantedPath, agreement, auroc, f1, planted_of
from flowgauge.models.flow.graph import Patterns
from flowgauge.tasks.registry import load_task

PLANTED = PlantedPath(np.array([2, 1, 0]), np.array([1, -1]))
"""Two layers, four tokens; head 1, then the skip."""


def values(explanation: Explanation, planted: PlantedPath = PLANTED) -> dict[str, float]:
    return {name: found for name, (found, reason) in agreement(explanation, planted, 4).items() if not reason}


def reasons(explanation: Explanation) -> dict[str, str]:
    return {name: reason for name, (_, reason) in agreement(explanation, PLANTED, 4).items() if reason}


def patterns(*paths: tuple[tuple[int, ...], tuple[int, ...], float]) -> Patterns:
    positions = np.array([p for p, _, _ in paths])[..., None]
    influence = np.array([i for _, _, i in paths])
    heads = np.array([h for _, h, _ in paths])[..., None, None]
    return Patterns(positions[:, 0, 0], influence, influence, positions, influence, heads)


def test_nodes_are_compared_layer_by_layer_without_the_last() -> None:
    nodes = np.array([[0.1, 0.2, -0.9, 0.3], [0.5, 0.4, 0.6, 0.1], [9.0, 0, 0, 0]])
    found = values(Explanation(nodes=nodes))
    assert found["nodes/auroc"] == pytest.approx((1 + 1 / 3) / 2)  # the second layer's planted node beats one of three
    assert found["nodes/auroc/pooled"] == pytest.approx((6 + 4) / 12)  # by size, -.9 beats all six others and .4 four
    assert found["nodes/f1"] == 0.5  # .9 and .6 are the best two
    assert found["path"] == 0 and found["path/known_word"] == 0
    nodes[1, 1] = 0.7
    found = values(Explanation(nodes=nodes))
    assert found["path"] == found["nodes/auroc"] == found["nodes/f1"] == 1


def test_words_and_heads() -> None:
    found = values(Explanation(tokens=np.array([0.5, 0.1, -0.4, 0.0]), heads=np.array([[0.1, 0.3], [0.3, 0.2]])))
    assert found == {"tokens/auroc": pytest.approx(2 / 3), "heads/auroc": pytest.approx(2.5 / 3), "heads/f1": 0.5}


def test_the_pattern_with_most_influence_is_the_path() -> None:
    right, wrong = ((2, 1, 0), (1, -1), -2.0), ((3, 1, 0), (0, -1), 1.0)
    tokens = np.array([0.0, 0.0, 0.1, 0.2])
    assert values(Explanation(tokens=tokens, patterns=patterns(right, wrong)))["path/heads"] == 1
    other = values(Explanation(tokens=tokens, patterns=patterns(right, (*wrong[:2], 3.0))))
    assert other["path"] == other["path/heads"] == 0 and other["path/known_word"] == 1
    by_skip = values(Explanation(tokens=tokens, patterns=patterns(((2, 1, 0), (0, -1), 1.0))))
    assert by_skip["path"] == 1 and by_skip["path/heads"] == 0
    assert values(Explanation(tokens=tokens, patterns=patterns(wrong)))["path/known_word"] == 0


def test_flows_give_the_path_of_the_largest_word() -> None:
    flows = np.zeros((4, 3, 4))
    flows[2, 0, 2], flows[2, 1, 1], flows[2, 2, 0] = 1.0, 0.8, 1.0
    flows[3, 0, 3], flows[3, 1, 3], flows[3, 2, 0] = 0.5, 0.9, 1.0
    found = values(Explanation(flows=flows))
    assert found["path"] == found["path/known_word"] == 1
    found = values(Explanation(flows=flows, tokens=np.array([0.0, 0.0, 1.0, -2.0])))
    assert found["path"] == 0 and found["path/known_word"] == 1


def test_edges_give_the_path_with_the_largest_product() -> None:
    edges = np.zeros((2, 1, 4, 4))
    edges[0, 0, 1, 2], edges[1, 0, 0, 1] = 0.9, 0.9
    edges[0, 0, 3, 3], edges[1, 0, 0, 3] = 0.5, 0.9
    found = values(Explanation(edges=edges))
    assert found["path"] == 1 and found["nodes/auroc"] == 1 and "heads/auroc" not in found


def test_a_missing_view_is_a_reason() -> None:
    only = reasons(Explanation(tokens=np.ones(4)))
    assert set(only) == {n for n in agreement(Explanation(tokens=np.ones(4)), PLANTED, 4) if n != "tokens/auroc"}
    assert "nodes cannot be ranked" in only["nodes/auroc"] and "heads cannot be ranked" in only["heads/f1"]
    bundle = Patterns(np.array([2]), np.ones(1), np.ones(1), np.array([[[2, -1], [1, 3], [0, -1]]]))
    assert "several nodes a layer" in reasons(Explanation(tokens=np.ones(4), patterns=bundle))["path"]


def test_ties_count_half_in_auroc_and_by_their_share_in_f1() -> None:
    planted = np.array([True, False, False, False])
    assert auroc(np.zeros(4), planted) == 0.5
    assert f1(np.zeros(4), planted) == 0.25
    assert auroc(np.array([-np.inf, -np.inf, 0.0, 1.0]), planted) == pytest.approx(1 / 6)
    with pytest.raises(NotApplicable, match="every node is planted"):
        auroc(np.zeros(1), np.ones(1, bool))


def test_sentences_without_a_path_and_another_model_are_refused_with_what_to_do() -> None:
    plain = load_task("sva/obj").instances("test", 1, 0)[0]
    with pytest.raises(NotApplicable, match=r"use a task planted/\*"):
        planted_of(plain, 2)
    with pytest.raises(NotApplicable, match="planted in 2 layers, and the model has 6"):
        planted_of(replace(plain, truth={"path": (1, 1, 0), "heads": (-1, 0)}), 6)

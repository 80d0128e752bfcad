"""What triggers cost, against the model on attacked sentences one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from flowgauge.core.errors import NotApplicable
from flowgauge.metrics.edges.trigger_attack import Attack
from flowgauge.metrics.edges.trigger_insertion import insert
from flowgauge.metrics.edges.trigger_mining import Trigger, WordPiece
from flowgauge.models.outputs import correct


def test_costs_are_those_of_attacks_one_by_one(classifier, shown):
    triggers = [Trigger((WordPiece(token, 0, 0.5),), 1.0) for token in (10, 20, 30)]
    attack = Attack(classifier, [(shown.batch, shown.instances)], longest=128)
    jobs = [(row, trigger) for trigger in triggers for row in range(len(shown.batch))]
    expected = []
    for row, trigger in jobs:
        before = shown.batch.rows(torch.tensor([row]))
        after = insert(classifier, shown.batch, [row], [trigger.pieces])
        expected.append(float(correct(classifier.outputs(before), before)) - float(correct(classifier.outputs(after), after)))
    assert attack.lost(jobs).tolist() == expected
    assert len(set(expected)) > 1 and attack.clean.mean() == 0.75
    assert attack.classes == tuple(instance.answer[0] for instance in shown.instances)


def test_answers_at_several_positions_cannot_be_attacked(classifier, shown):
    several = replace(shown.batch, target=None, cache={})
    with pytest.raises(NotApplicable, match="an inserted trigger would move the positions of the answer"):
        Attack(classifier, [(several, shown.instances)], longest=128)

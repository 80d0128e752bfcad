"""The planted models: that the planted path is the only one, by brute force, and that influence patterns find it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from flowgauge.core.errors import UsageError
from flowgauge.methods.patterns.influence_patterns import InfluencePatterns
from flowgauge.models.batch import Rows
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.inputs.encode import encode
from flowgauge.models.outputs import value
from flowgauge.models.registry import MODELS
from flowgauge.tasks.instance import Instance
from flowgauge.tasks.planted import NOUNS, SKIP, PlantedTask, routes
from flowgauge.tasks.registry import load_task

ALONE = ["planted/relay", "planted/skip", "planted/relay:depth=1", "planted/relay:routes=3,saturation=1,decoys=1,seed=3"]
"""Tasks without distractors, in which nothing but the planted path carries anything."""


def planted(spec: str) -> PlantedTask:
    task = load_task(spec)
    assert isinstance(task, PlantedTask)
    return task


@cache
def made(spec: str) -> tuple[PlantedTask, FlowModel]:
    task = planted(spec)
    return task, MODELS.create(task.model).build({}).to(torch.device("cpu"), torch.float64)


def pairs(task: PlantedTask, count: int) -> list[tuple[Instance, Instance]]:
    """Sentences and the same with the other number of the subject."""
    found = []
    for instance in task.instances("test", count, 1):
        words, at = instance.segments[0].split(), instance.truth["path"][0] - 1
        words[at] = words[at].removesuffix("s") if words[at].endswith("s") else words[at] + "s"
        found.append((instance, replace(instance, segments=(" ".join(words),))))
    return found


def both(spec: str, count: int = 6):
    """The model, instances, their batch, and the batch with the subject's other number but the same question."""
    task, model = made(spec)
    clean, turned = zip(*pairs(task, count), strict=True)
    batch, other = encode(model, clean), encode(model, turned)
    return model, clean, batch, replace(other, answer=batch.answer, against=batch.against, cache={})


def run(model: FlowModel, batch, keep=frozenset(), **edits):
    (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch), 0, edits), keep=keep)
    return trace, value(model.readout(trace.site("hidden", model.n_layers), batch), batch)


def swapped(site: str, layer: int, index: tuple, other):
    """An edit that takes the values at an index (after rows) of one layer from another run."""

    def edit(at: int, values: torch.Tensor) -> torch.Tensor:
        if at != layer:
            return values
        values = values.clone()
        values[(slice(None), *index)] = other.site(site, layer)[(slice(None), *index)]
        return values

    return edit


@pytest.mark.parametrize("spec", ALONE)
def test_patching_the_other_number_turns_the_answer_at_the_planted_nodes_and_nowhere_else(spec) -> None:
    model, instances, batch, other = both(spec)
    source, turned = run(model, other, {"hidden"})
    assert (turned < 0).all()
    clean = run(model, batch)[1]
    paths = np.asarray([i.truth["path"] for i in instances])
    for layer in range(model.n_layers + 1):
        for position in range(batch.ids.shape[1]):
            patched = run(model, batch, hidden=swapped("hidden", layer, (position,), source))[1]
            planted = torch.from_numpy(paths[:, layer] == position)
            assert torch.allclose(patched, torch.where(planted, turned, clean), atol=0.05), (layer, position)


@pytest.mark.parametrize("spec", ALONE)
def test_the_same_of_heads_and_skips(spec) -> None:
    model, instances, batch, other = both(spec)
    source, turned = run(model, other, {"context", "skip"})
    clean = run(model, batch)[1]
    paths, heads = (np.asarray([i.truth[part] for i in instances]) for part in ("path", "heads"))
    for layer in range(model.n_layers):
        for position in range(batch.ids.shape[1]):
            for head in (SKIP, *range(model.n_heads)):
                site, index = ("skip", (position,)) if head == SKIP else ("context", (position, head))
                patched = run(model, batch, **{site: swapped(site, layer, index, source)})[1]
                planted = torch.from_numpy((paths[:, layer + 1] == position) & (heads[:, layer] == head))
                assert torch.allclose(patched, torch.where(planted, turned, clean), atol=0.05), (layer, position, head)


@pytest.mark.parametrize("spec", ALONE)
def test_the_path_alone_keeps_the_answer_and_without_any_of_its_nodes_nothing_is_left(spec) -> None:
    model, instances, batch, other = both(spec)
    states, clean = run(model, batch, {"hidden"})
    mirrored, _ = run(model, other, {"hidden"})
    means = [(states.site("hidden", l) + mirrored.site("hidden", l)) / 2 for l in range(model.n_layers + 1)]  # noqa: E741
    paths = torch.tensor([i.truth["path"] for i in instances])
    planted = torch.nn.functional.one_hot(paths, batch.ids.shape[1]).bool()[..., None]  # rows, depths, tokens, 1
    alone = run(model, batch, hidden=lambda layer, h: torch.where(planted[:, layer], h, means[layer]))[1]
    assert torch.allclose(alone, clean, atol=0.05)
    for gone in range(model.n_layers + 1):
        cut = lambda layer, h, gone=gone: torch.where(planted[:, layer], means[layer], h) if layer == gone else h  # noqa: E731
        assert run(model, batch, hidden=cut)[1].abs().max() < 0.05


@pytest.mark.parametrize("spec", ALONE)
def test_at_zero_distractors_influence_patterns_are_the_planted_path_of_every_instance(spec) -> None:
    task, model = made(spec)
    instances = task.instances("test", 100, 0)
    found = InfluencePatterns(samples=10).explain(model, encode(model, instances))
    for instance, explanation in zip(instances, found, strict=True):
        patterns = explanation.patterns
        best = int(np.abs(patterns.influence).argmax())
        assert tuple(patterns.positions[best, :, 0]) == instance.truth["path"]
        assert tuple(patterns.heads[best, :, 0, 0]) == instance.truth["heads"]
        assert patterns.influence[best] == pytest.approx(explanation.values["q"] - explanation.values["q_baseline"], rel=0.02)


def test_a_distractor_weighs_what_it_should_and_decoys_nothing() -> None:
    """Before tanh, number at [CLS] is the subject's 1 and `strength` times each distractor's."""
    strength = 0.3
    task, model = made(f"planted/attractor:strength={strength}")
    instances = task.instances("test", 8, 0)
    q = run(model, encode(model, instances))[1]
    number = torch.atanh(q / 10) / 0.5
    agrees = torch.tensor([1.0 if i.condition[1] == i.condition[2] else -1.0 for i in instances], dtype=q.dtype)
    assert torch.allclose(number, 1 + 2 * strength * agrees, atol=0.02)


def test_where_a_path_forks_a_greedy_search_takes_the_stronger_first_hop_and_a_beam_the_planted_path() -> None:
    task, model = made("planted/fork")
    instances = task.instances("test", 8, 0)
    batch = encode(model, instances)
    number = torch.atanh(run(model, batch)[1] / 10) / 0.5
    assert torch.allclose(number, torch.full_like(number, 1 + 2 * task.forks), atol=0.05)
    for beam, right in ((1, False), (4, True)):
        for instance, found in zip(instances, InfluencePatterns(samples=10, beam=beam).explain(model, batch), strict=True):
            best = found.patterns.positions[np.abs(found.patterns.influence).argmax(), :, 0]
            assert (tuple(best) == instance.truth["path"]) == right


def test_saturation_leaves_no_gradient_at_the_subject_and_the_same_answer() -> None:
    _, plain = made("planted/relay")
    task, saturated = made("planted/relay:saturation=1")
    instances = task.instances("test", 8, 0)
    subject = torch.tensor([i.truth["path"][0] for i in instances])
    plural, singular = plain.tokenizer.convert_tokens_to_ids(["authors", "author"])
    sizes = []
    for model in (plain, saturated):
        batch = encode(model, instances)
        words = model.words(batch).detach().requires_grad_()
        q = value(model.outputs(replace(batch, word_vectors=words, cache={})), batch)
        (grads,) = torch.autograd.grad(q.sum(), words)
        number = model.word_embedding.weight[plural] - model.word_embedding.weight[singular]
        sizes.append((q.detach(), (grads[torch.arange(8), subject] @ number).abs()))
    assert torch.allclose(sizes[0][0], sizes[1][0], atol=0.1)
    assert sizes[0][1].min() > 1 and sizes[1][1].max() < 0.05


@pytest.mark.parametrize("spec", ["planted/attractor:saturation=1", "planted/superposed"])
def test_hard_models_are_right_on_other_sentences_of_both_splits(spec) -> None:
    task, model = made(spec)
    for split in ("train", "test"):
        batch = encode(model, task.instances(split, 200, 1))
        assert (value(model.outputs(batch), batch) > 0).all()


@pytest.mark.parametrize("spec", ["planted:distractors=2,strength=0.5", "planted:overlap=0.3", "planted:depth=8,noise=0.5"])
def test_settings_with_which_the_model_is_not_right_are_refused(spec) -> None:
    with pytest.raises(UsageError, match=r"% of the sentences right.* lower strength"):
        MODELS.create(spec).build({})


def test_a_model_is_the_same_each_time_and_another_with_another_seed() -> None:
    prints = [MODELS.create(spec).build({}).fingerprint() for spec in ("planted", "planted", "planted:seed=1")]
    assert prints[0] == prints[1] != prints[2]


def test_every_noun_is_one_token_and_the_mask_has_no_number() -> None:
    _, model = made("planted/relay")
    ids = model.tokenizer(" ".join(form for noun in NOUNS for form in (noun, noun + "s")))["input_ids"]
    assert len(set(ids)) == 2 * len(NOUNS) + 2 and model.tokenizer.unk_token_id not in ids
    table = model.word_embedding.weight
    assert not table[model.tokenizer.mask_token_id].any()
    apart = table[ids[2:-1:2]] - table[ids[1:-2:2]]
    assert torch.allclose(apart, apart[:1].expand_as(apart)) and apart[0].norm() == pytest.approx(2, rel=1e-6)


def test_side_routes_share_their_first_hop_with_each_other_alone() -> None:
    for seed in range(10):
        one, other, *by_ways = routes(planted(f"planted/fork:seed={seed}").wiring)
        for main, pair in ((one, by_ways[:2]), (other, by_ways[2:])):
            assert pair[0].positions[:2] == pair[1].positions[:2] and pair[0].heads[0] == pair[1].heads[0] != main.heads[0]
            assert pair[0].positions[0] == main.positions[0] and pair[0].positions[1] != main.positions[1]
            for depth in (2, 3):
                assert len({main.positions[depth], *(way.positions[depth] for way in pair)}) == 3


def test_routes_are_apart_at_every_depth() -> None:
    for seed in range(20):
        task = planted(f"planted/skip:depth=7,hops=3,distractors=2,seed={seed}")
        walks = np.asarray([r.positions for r in routes(task.wiring)])
        for depth in walks.T:
            inside = depth[depth > 0]
            assert len(set(inside.tolist())) == len(inside)
        assert (walks[:, -1] == 0).all() and (walks[:, 0] > 0).all()

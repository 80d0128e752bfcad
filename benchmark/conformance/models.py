"""Checks that a checkpoint runs in flowgauge as it does in transformers, and that interventions have effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from ...core.errors import NotApplicable
from ...models.batch import SITES, Batch, Rows, Site
from ...models.flow.flow_model import FlowModel
from ...models.layers.base import Layer, Projected
from ...models.layers.func_tangents import FuncTangents
from ...models.shapes import Outputs
from ...models.tokenizer import padding_token
from .finding import Finding, require, run_checks

LENGTHS = (9, 6, 4)
TARGET, LATER = 2, 2
"""The gap of a masked model, and how many tokens stand behind a decoder's target where later tokens are changed."""


def check_model(model: FlowModel) -> list[Finding]:
    """Checks a model on sentences of random tokens.

    Args:
        model: A loaded model of any family.

    Returns:
        One finding a promise: logits equal those of transformers; padding on either side changes nothing; tokens after a
        decoder's target change nothing; every edit of a site changes the output at every layer, and no other row's; closed-form
        derivatives equal automatic ones.
    """
    batch = random_batch(model)
    with torch.no_grad():
        checks: list[tuple[str, Callable[[], str | None]]] = [
            ("logits are those of transformers", lambda: _require_parity(model, batch)),
            ("padding on the right changes nothing", lambda: _require_padding(model, batch)),
            ("padding on the left changes nothing", lambda: _require_padding(model, padded_left(batch))),
            ("tokens after the target change nothing", lambda: _require_causal(model, batch)),
            *((f"edits of {site} have effects", lambda site=site: _require_effects(model, batch, site)) for site in SITES),
            ("closed-form derivatives are the automatic ones", lambda: _require_derivatives(model, batch)),
        ]
        return run_checks(checks)


def described(model: FlowModel) -> str:
    """What the adapter of its family has read of a checkpoint, in one line."""
    attention = [layer.attention for layer in model.layers]
    parts = [
        f"{model.n_layers} layers ({type(model.layers[0]).__name__}) of {model.n_heads} heads, {model.width} wide",
        f"head: {model.head}",
        "causal" if attention[0].causal else "",
        f"{model.n_heads // attention[0].groups} key heads" if attention[0].groups > 1 else "",
        f"windows of {', '.join(map(str, sorted({y.window for y in attention if y.window is not None})))} tokens"
        if any(y.window is not None for y in attention)
        else "",
        f"scores capped at {attention[0].cap:g}" if attention[0].cap is not None else "",
        f"at most {model.max_tokens} tokens" if model.max_tokens else "",
    ]
    return f"{model.name}: {model.hf.config.model_type}, {'; '.join(part for part in parts if part)}"


def tolerance(model: FlowModel) -> float:
    """The largest difference, of the largest logit, that rounding explains: some parts of transformers are always in float32."""
    return max(1e-6, float(torch.finfo(model.dtype).eps ** 0.5))


def random_batch(model: FlowModel, seed: int = 0) -> Batch:
    """Sentences of random tokens, padded on the right; a masked model has its mask token at position 2."""
    tokenizer = model.tokenizer
    lengths = torch.tensor([min(n, model.max_tokens or n) for n in LENGTHS])
    width, count = int(lengths.max()), len(lengths)
    words = torch.tensor(
        sorted(set(range(min(len(tokenizer), model.word_embedding.num_embeddings))) - set(tokenizer.all_special_ids))
    )
    generator = torch.Generator().manual_seed(seed)
    ids = words[torch.randint(len(words), (count, width), generator=generator)]
    real = torch.arange(width) < lengths[:, None]
    target = torch.full((count,), TARGET if model.head == "masked" else 0)
    if model.head == "masked":
        ids[:, TARGET] = tokenizer.mask_token_id
    if model.reads_last_token:
        target = lengths - 1
    spans = model.head == "span"
    outputs = torch.tensor([[0, 1] if spans else [0]]).expand(count, -1)
    multi = model.problem_type == "multi_label_classification"
    return Batch(
        ids=torch.where(real, ids, padding_token(tokenizer)).to(model.device),
        attention_mask=real.to(model.device),
        token_type_ids=torch.zeros_like(ids).to(model.device),
        word_ids=torch.stack([torch.zeros_like(ids), torch.arange(width).expand_as(ids)], -1).to(model.device),
        answer=outputs.to(model.device),
        against=(outputs + 1).to(model.device),
        target=target.to(model.device) if model.one_target else None,
        names=tuple(f"sentence {n}" for n in range(count)),
        seeds=tuple(range(count)),
        spans=spans,
        label=torch.zeros(count, dtype=torch.long, device=model.device) if multi else None,
    )


def padded_left(batch: Batch) -> Batch:
    """The same sentences with their padding on the left."""
    width, lengths = batch.ids.shape[1], batch.attention_mask.sum(1)
    order = (torch.arange(width, device=lengths.device) + lengths[:, None]) % width
    moved = {name: getattr(batch, name).gather(1, order) for name in ("ids", "attention_mask", "token_type_ids")}
    words = batch.word_ids.gather(1, order[..., None].expand(-1, -1, 2))
    ends = {name: getattr(batch, name) + (width - lengths)[:, None] for name in ("answer", "against")} if batch.spans else {}
    target = None if batch.target is None else batch.target + width - lengths
    return replace(batch, **moved, **ends, word_ids=words, target=target, cache={})


def _alone(batch: Batch, row: int) -> Batch:
    one = batch.rows(torch.tensor([row], device=batch.ids.device))
    return one.only(one.attention_mask)


def _side_by_side(outputs: Outputs, real: Tensor) -> Tensor:
    """All outputs of one row; of a span head, those of real tokens."""
    return torch.cat([logits[0][real] if len(outputs) > 1 else logits[0] for logits in outputs])


def _require_close(found: Tensor, expected: Tensor, model: FlowModel, what: str) -> str:
    largest = max(1.0, float(expected.abs().max()))
    difference = float((found - expected).abs().max()) / largest
    require(
        difference <= tolerance(model),
        f"{what} by {difference:.1e} of the largest logit, expected {tolerance(model):.0e} at most.",
    )
    return f"{difference:.1e} of the largest logit"


@contextmanager
def _eager(model: FlowModel) -> Iterator[None]:
    """The attention of transformers that has every part, such as soft caps."""
    before = model.hf.config._attn_implementation
    model.hf.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.hf.set_attn_implementation(before)


def _require_parity(model: FlowModel, batch: Batch) -> str:
    notes = []
    with _eager(model):
        for row in range(len(batch)):
            one = _alone(batch, row)
            output = model.hf(input_ids=one.ids, attention_mask=one.attention_mask.long())
            if model.head == "span":
                expected = torch.cat([output.start_logits[0], output.end_logits[0]])
            elif model.head == "label":
                logits = output.logits[0]
                multi = model.problem_type == "multi_label_classification"
                expected = torch.cat([logits.new_zeros(1), logits[:1]]) if multi else logits
            else:
                assert one.target is not None
                expected = output.logits[0, one.target[0]]
            found = _side_by_side(model.outputs(one), one.attention_mask[0])
            notes.append(_require_close(found, expected, model, f"{batch.names[row]} differs"))
    return max(notes, key=lambda note: float(note.split()[0]))


def _require_padding(model: FlowModel, batch: Batch) -> str:
    together, notes = model.outputs(batch), []
    for row in range(len(batch)):
        found = _side_by_side(tuple(logits[row : row + 1] for logits in together), batch.attention_mask[row])
        one = _alone(batch, row)
        expected = _side_by_side(model.outputs(one), one.attention_mask[0])
        notes.append(_require_close(found, expected, model, f"padding moves the logits of {batch.names[row]}"))
    return max(notes, key=lambda note: float(note.split()[0]))


def _require_causal(model: FlowModel, batch: Batch) -> str:
    if not model.reads_last_token or batch.target is None:
        raise NotApplicable("the model reads tokens on both sides.")
    earlier = replace(batch.rows(torch.tensor([0], device=batch.ids.device)), target=batch.target[:1] - LATER)
    assert earlier.target is not None
    later = torch.arange(earlier.ids.shape[1], device=earlier.ids.device) > earlier.target[:, None]
    other = replace(earlier, ids=torch.where(later, earlier.ids.roll(1, 1), earlier.ids), cache={})
    found, expected = model.outputs(other)[0][0], model.outputs(earlier)[0][0]
    return _require_close(found, expected, model, "later tokens move the logits")


def _require_effects(model: FlowModel, batch: Batch, site: Site) -> str:
    """Every edit of a site changes the output of its own rows, at every layer, and of no others."""
    one = _alone(batch, 0)
    start = model.embed(model.words(one), one)
    clean = _side_by_side(model.outputs(one), one.attention_mask[0])
    smallest = float("inf")
    for layer in range(model.n_layers):
        edit = lambda at, value, layer=layer: value * 0.3 if at == layer else value  # noqa: E731
        edited, untouched = model.run(Rows(one, start, edits={site: edit}), Rows(one, start))
        read = lambda trace: _side_by_side(model.readout(trace.site("hidden", model.n_layers), one), one.attention_mask[0])  # noqa: E731
        _require_close(read(untouched), clean, model, f"an edit of {site}[{layer}] of another row moves the logits")
        change = float((read(edited) - read(untouched)).abs().max())  # of one kernel, so that nothing is exactly nothing
        require(change > 0, f"an edit of {site}[{layer}] changes nothing.")
        smallest = min(smallest, change)
    return f"the smallest change is {smallest:.1e}"


def _require_derivatives(model: FlowModel, batch: Batch) -> str:
    one = _alone(batch, 0)
    tapes: list[dict[str, Tensor]] = []
    (trace,) = model.run(Rows(one, model.embed(model.words(one), one)), keep={"skip", "context"}, tapes=tapes)
    positions, worst = one.positions.flatten(), 0.0
    for index, (layer, tape) in enumerate(zip(model.layers, tapes, strict=True)):
        skip, context = trace.site("skip", index).flatten(0, 1), trace.site("context", index).flatten(0, 1)
        closed, oracle = layer.tangents(skip, context, positions, tape), FuncTangents(layer, skip, context, positions)
        worst = max(worst, *_differences(layer, closed, oracle, skip, context))
    bound = 10 * tolerance(model)
    require(worst <= bound, f"they differ by {worst:.1e} of the largest, expected {bound:.0e} at most.")
    return f"{worst:.1e} of the largest"


def _differences(layer: Layer, closed: object, oracle: FuncTangents, skip: Tensor, context: Tensor) -> Iterator[float]:
    """The largest relative difference of each derivative, forwards and backwards, at every position."""
    generator = torch.Generator().manual_seed(1)
    draw = lambda like: torch.randn(like.shape, generator=generator).to(like)  # noqa: E731
    tangent, moved, grad = draw(skip), draw(context), draw(skip)
    grads = Projected(*(draw(part) for part in oracle.project_jvp(None, tangent)))
    for derivatives in (
        lambda way: way.project_jvp(None, tangent),
        lambda way: (way.project_vjp(None, grads),),
        lambda way: (way.finish_jvp(None, tangent, moved),),
        lambda way: way.finish_vjp(None, grad),
    ):
        for found, expected in zip(derivatives(closed), derivatives(oracle), strict=True):
            yield float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-30))

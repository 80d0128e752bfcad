"""DiffMask (De Cao et al. 2020): probes on every layer's states learn which words or hidden states the model needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import NonNegativeInt, PositiveFloat
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ...core.errors import NotApplicable, UsageError
from ...models.baseline import default_baseline, filling_token
from ...models.batch import Batch
from ...models.built.training import TrainingSession
from ...models.interventions.states import clean_states
from ...models.layered import Layered
from ..base import Amortised, explanations, method
from ..centred_rmsprop import CentredRMSprop
from ..explanation import Explanation
from .gate_fitting import train
from .gate_training import GateTraining, GateTrainingSettings
from .gates import Gates, may_be_masked
from .lagrangian import Multipliers
from .probes import Kind, Probes

Baseline = Literal["learned", "zero", "mask", "pad", "mean"]


@dataclass(frozen=True)
class DiffMask(GateTrainingSettings, Amortised):
    """Settings, training and explanation that `diffmask-input` and `diffmask-hidden` share.

    Attributes:
        lr: Learning rate of the probes. Gates close while the constraint is met, and then the multiplier must rise from about 0
            to open them: if the gates close too far to open again, lower it, or raise `lambda_lr`.
        baseline_lr: Learning rate of the vectors that replace masked states.
        lambda_lr: Learning rate of the multipliers, each of which moves only when its depth is drawn, once in L + 2 steps.
        warmup: Steps, over all depths, in which the learning rates of probes and vectors rise.
        baseline: Vector of masked states: a `learned` one (which starts at the word vector of [MASK], of decoders at that of
            padding, or at the mean state), `zero`, the word vector of the `mask` token or of padding (`pad`), or the `mean` state
            of the train split.
        gate: Whether log alpha is `bounded` to (c - 10, c + 10) or `plain`.
        width: Width of the probes' inner layer; 0: a quarter of the model's width, 32 at least.
        probe: Weights trained before (`weights.safetensors` of a folder in <store>/fits), which are used unchanged.
    """

    lr: PositiveFloat = 1e-3
    baseline_lr: PositiveFloat = 1e-3
    lambda_lr: PositiveFloat = 0.3
    warmup: NonNegativeInt = 100
    baseline: Baseline = "learned"
    gate: Kind = "bounded"
    width: NonNegativeInt = 0
    probe: str = ""

    at_words: ClassVar[bool]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.probe and not Path(self.probe).is_file():
            raise UsageError(f"there is no probe {self.probe!r}: name the weights.safetensors of a folder in <store>/fits.")
        if self.baseline in ("mask", "pad") and not self.at_words:
            raise UsageError(
                f"baseline={self.baseline} is a word vector and cannot replace hidden states: use learned, zero or mean."
            )

    @property
    def files(self) -> tuple[str, ...]:
        """Files whose content is part of the method's key."""
        return (self.probe,) if self.probe else ()

    @property
    def gates(self) -> Gates:
        """The form of the gates."""
        return Gates(Probes(self.gate), self.at_words)

    def fit(self, model: Layered, data: Sequence[Batch], training: TrainingSession) -> dict[str, Tensor]:
        """Trains the probes of every depth and the vectors of masked states; or reads those of `probe`, if it is set.

        Args:
            model: The explained model.
            data: Batches of the train split.
            training: Gives the seed, and keeps checkpoints and the curve.

        Returns:
            The parameters, with the `margin` (nats), the model's fingerprint (`model`) and the kind of gate (`gate`) as bytes.

        Raises:
            FlowgaugeError: Masking a depth costs more than `fallback` margins in the whole second half of the training, and
                before wherever half of the states are masked.
            UsageError: The file of `probe` belongs to another model.
        """
        if self.probe:
            return self._read_probe(model, data[0])
        parameters = self._start(model, data, training.seed)
        rates = {name: self.baseline_lr if name.startswith("fill") else self.lr for name in parameters}
        multipliers = Multipliers.start(model.n_layers + 2, rate=self.lambda_lr, like=parameters["probe.0.open"])
        run = GateTraining(
            gates=self.gates,
            model=model,
            config=self,
            seed=training.seed,
            parameters=parameters,
            descent=self._descent(rates),
            multipliers=multipliers,
        )
        trained = train(run, data, training)
        return {**trained, "margin": torch.tensor(run.margin), "model": _digest(model), "gate": _bytes(self.gate)}

    @torch.no_grad()
    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Computes P(keep) of every depth and token (`mask`) and its sum over depths (`tokens`; 0 at tokens that always stay).

        `values` has the `margin` (nats) of the training.
        """
        weights, gates = self.demand_weights(), self.gates
        states, free = clean_states(model, batch), may_be_masked(model, batch)[:, None]
        self._check(weights, model, states[0].shape[-1])
        weights = {name: tensor.to(model.device) for name, tensor in weights.items()}
        votes = gates.every(weights, states)
        mask, gate = (
            torch.stack(by_depth, 1) * free + 1 - free
            for by_depth in ([v.log_kept().exp() for v in votes], [v.mean() for v in votes])
        )  # fmt: skip
        fill = _padded([gates.fill(weights, depth) for depth in range(1 if self.at_words else model.n_layers + 2)])
        margin = {"margin": float(weights["margin"])} if "margin" in weights else {}
        values = [dict(margin) for _ in range(len(batch))]
        fills, tokens = fill.expand(len(batch), -1, -1), (mask * free).sum(1)
        return explanations(batch, mask=mask, gate=gate, tokens=tokens, fill=fills, values=values)

    def _descent(self, rates: Mapping[str, float]) -> CentredRMSprop:
        """The optimiser of gates and vectors."""
        return CentredRMSprop(rates, warmup=self.warmup)

    def _start(self, model: Layered, data: Sequence[Batch], seed: int) -> dict[str, Tensor]:
        """Parameters before training; those that are learned require a gradient."""
        words = model.words(data[0])
        like = words.new_zeros((), dtype=torch.promote_types(model.dtype, torch.float32))
        generator = torch.Generator().manual_seed(seed)
        sizes = self.gates.inputs(model, words.shape[-1])
        parameters = self.gates.probes.start(sizes, self.width or max(32, model.width // 4), generator, like)
        fills = {f"fill.{depth}": fill.to(like) for depth, fill in enumerate(self._fills(model, data))}
        for tensor in (*parameters.values(), *(fills.values() if self.baseline == "learned" else ())):
            tensor.requires_grad_()
        return {**parameters, **fills}

    @torch.no_grad()
    def _fills(self, model: Layered, data: Sequence[Batch]) -> list[Tensor]:
        """The vectors of masked states before training, by depth: one for words, else one for each depth."""
        depths = 1 if self.at_words else model.n_layers + 2
        kind = default_baseline(model) if self.baseline == "learned" else self.baseline
        token = filling_token(model, kind) if kind in ("mask", "pad") else None
        if self.at_words and (self.baseline in ("mask", "pad") or token is not None):
            if token is None:
                raise NotApplicable(f"the tokenizer of {model.name!r} has no {kind} token: use baseline learned, zero or mean.")
            first = data[0].rows(torch.zeros(1, dtype=torch.long, device=data[0].ids.device))
            return [model.words(replace(first, ids=torch.full_like(first.ids, token)))[0, 0]]
        if self.baseline == "zero":
            return [torch.zeros_like(states[0, 0]) for states in clean_states(model, data[0])[:depths]]
        totals, count = [model.words(data[0]).new_zeros(())] * depths, 0
        for batch in data:
            free = may_be_masked(model, batch) > 0
            totals = [
                total + states[free].sum(0) for total, states in zip(totals, clean_states(model, batch)[:depths], strict=True)
            ]
            count += int(free.sum())
        return [total / count for total in totals]

    def _read_probe(self, model: Layered, batch: Batch) -> dict[str, Tensor]:
        """Reads the weights of `probe` and checks that they belong to this model and these settings."""
        try:
            weights = load_file(self.probe)
        except (SafetensorError, OSError) as error:
            raise UsageError(
                f"the probe {self.probe!r} cannot be read ({error}): name the weights.safetensors of a folder in <store>/fits."
            ) from error
        self._check(weights, model, model.words(batch).shape[-1])
        if not torch.equal(weights["model"], _digest(model)):
            raise UsageError(f"the probe {self.probe!r} was trained on another model than {model.name!r}: train one for it.")
        kind = bytes(weights.get("gate", _bytes(self.gate)).tolist()).decode(errors="replace")
        if kind != self.gate:
            raise UsageError(f"the probe {self.probe!r} was trained with gate={kind}, not {self.gate}: add gate={kind}.")
        return weights

    def _check(self, weights: Mapping[str, Tensor], model: Layered, words: int) -> None:
        """Raises a `UsageError` for probes whose shapes belong to another model or method."""
        expected = self.gates.inputs(model, words)
        try:
            sizes = [weights[f"probe.{d}.inner"].shape[1] for d in range(sum(n.endswith(".inner") for n in weights))]
        except (KeyError, IndexError):
            sizes = []
        if not sizes or "model" not in weights or "fill.0" not in weights:
            raise UsageError(
                f"{self.probe or 'the given weights'} holds no probes of DiffMask: name weights.safetensors of its fit."
            )
        if sizes != expected:
            raise UsageError(
                f"the probes are for {len(sizes) - 2} layers and inputs of {_distinct(sizes)}; {type(self).__name__} on "
                f"{model.name!r} has {model.n_layers} and {_distinct(expected)}: train probes for this method and model."
            )
        self._check_complete(weights, [words, *[model.width] * (model.n_layers + 1)], expected)

    def _check_complete(self, weights: Mapping[str, Tensor], sizes: Sequence[int], inputs: Sequence[int]) -> None:
        """Raises a `UsageError` for probes of which a part is missing, has another shape, or is not finite."""
        hidden = len(weights["probe.0.inner"])
        shapes = self.gates.probes.shapes(list(inputs), hidden)
        shapes |= {f"fill.{depth}": (size,) for depth, size in enumerate(sizes[:1] if self.at_words else sizes)}
        for name, shape in shapes.items():
            tensor = weights.get(name)
            if tensor is None or tensor.shape != shape or not tensor.is_floating_point() or not tensor.isfinite().all():
                fault = "is missing" if tensor is None else "has another shape or type, or is NaN or infinite"
                raise UsageError(f"{self.probe or 'the given weights'} is damaged: {name} {fault}. Train the probes again.")


@method(
    "diffmask-input",
    gives={"mask", "tokens"},
    needs={"training"},
    version=2,
    stochastic=True,
    source="De Cao et al. 2020, How do Decisions Emerge across Layers in Neural Models?, section 2.2",
    misleads="Its mask of a sentence is a prediction of trained probes, which may keep or drop too much: read "
    "`masked_divergence` and `share_masked` beside it. A mean divergence below the margin does not keep the "
    "predictions of a model that is unsure.",
)
@dataclass(frozen=True)
class DiffMaskInput(DiffMask):
    """Probability that the model needs each word, by probes trained on its states up to each depth (De Cao et al. 2020).

    `mask[d, i]` is the probability that the product of the votes of depths 0 to d keeps word i: it never rises with d. A masked
    word's vector is replaced by the baseline's; its position stays. `tokens` sums over depths. Source: De Cao et al. 2020,
    section 2.2.

    Attributes:
        lr: Learning rate of the probes, the paper's; smaller than `diffmask-hidden`'s, because depths share their votes, and a
            vote that closes masks the word at all depths above.
        longest: Largest step of a parameter, in learning rates. While the constraint is met, multipliers are 0 and gradients
            nearly constant, and centred RMSprop divides by their spread: long steps would close the gates for good before
            multipliers rise.
        penalty: Mean over tokens of P(z != 0) (`l0`; the paper, equation 1) or of log P(z != 0) (`log`; the released code, whose
            gates may close for good).
    """

    lr: PositiveFloat = 3e-4
    penalty: Literal["log", "l0"] = "l0"
    longest: PositiveFloat = 10.0

    at_words: ClassVar[bool] = True

    def _descent(self, rates: Mapping[str, float]) -> CentredRMSprop:
        return CentredRMSprop(rates, warmup=self.warmup, longest=self.longest)


@method(
    "diffmask-hidden",
    gives={"mask", "tokens"},
    needs={"training"},
    version=2,
    stochastic=True,
    source="De Cao et al. 2020, How do Decisions Emerge across Layers in Neural Models?, section 2.2",
    misleads="A state may be dropped because its information has already moved to other positions, so that a dropped state "
    "does not mean that its word is not needed. Each depth is trained by itself, and one may stay open: compare "
    "seeds.",
)
@dataclass(frozen=True)
class DiffMaskHidden(DiffMask):
    """Probability that the model needs each hidden state, by one probe trained for each depth (De Cao et al. 2020).

    `mask[d, i]` is the probability that state i of depth d (0: word vectors) is kept when that depth alone is masked. `tokens`
    sums over depths: the expected number of depths at which a token is kept. Source: De Cao et al. 2020, section 2.2.
    """

    at_words: ClassVar[bool] = False


def _digest(model: Layered) -> Tensor:
    """The model's fingerprint as bytes."""
    return _bytes(model.fingerprint())


def _bytes(text: str) -> Tensor:
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def _distinct(sizes: Sequence[int]) -> str:
    """The distinct sizes, in words."""
    return " and ".join(map(str, dict.fromkeys(sizes)))


def _padded(fills: Sequence[Tensor]) -> Tensor:
    """Vectors as rows of one table, padded with zeros where word vectors are narrower than hidden states."""
    width = max(len(fill) for fill in fills)
    return torch.stack([torch.nn.functional.pad(fill, (0, width - len(fill))) for fill in fills])

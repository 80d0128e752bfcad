"""Whether a bundle's explanations are those that its methods give: the level of trust `re-run`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ...benchmark.store.record import Record
from ...benchmark.store.store import Store
from ...benchmark.verification.explanation_difference import RerunOutcome
from ...core.errors import FlowgaugeError, NotApplicable
from .trust import BundleProblem, Trust, weakest
from .verify import VerificationReport

RerunMethods = Callable[[Store, Record, int], RerunOutcome]
"""(cells of a bundle as a store, record, instances to sample) -> how explanations differ on the verifier's machine."""
QUICK = 4
"""Instances of a cell that are explained again by default."""


@dataclass(frozen=True)
class RerunCheck:
    """Runs the method of every cell on a few instances; a further check of `verify`.

    A cell whose explanations come out as stored may show `re-run`. A cell whose method cannot be run here keeps its level, with
    the reason among the notes. Other explanations than the stored ones are a problem; of a method that is trained first
    they are only a note, for training enlarges differences between the rounding of two processors, and the cell keeps its level.

    Attributes:
        rerun: Runs a method.
        sample: Instances of each cell.
    """

    rerun: RerunMethods
    sample: int = QUICK

    def __call__(self, store: Store, checked: VerificationReport) -> VerificationReport:
        """The report so far with the results of this check."""
        problems, notes, rerun, levels = list(checked.problems), list(checked.notes), dict(checked.rerun), dict(checked.levels)
        for record in checked.records:
            try:
                outcome = self.rerun(store, record, self.sample)
            except NotApplicable as reason:
                notes.append(BundleProblem(record.folder, f"cannot be re-run: {reason}"))
            except FlowgaugeError as error:
                problems.append(BundleProblem(record.folder, f"re-running it failed: {error}"))
            else:
                if not outcome.differing:
                    rerun[record.cell] = outcome.instances
                    levels[record.cell] = "re-run"
                elif outcome.trained:
                    notes.append(
                        BundleProblem(
                            record.folder, f"{_differing(record, outcome)} It was trained anew, perhaps on another processor."
                        )
                    )
                else:
                    problems.append(BundleProblem(record.folder, _differing(record, outcome)))
        trust: Trust = "well-formed" if problems else weakest([levels.get(r.cell, checked.trust) for r in checked.records])
        return replace(checked, problems=tuple(problems), notes=tuple(notes), rerun=rerun, levels=levels, trust=trust)


def _differing(record: Record, outcome: RerunOutcome) -> str:
    count = f"{outcome.differing} of {outcome.instances}"
    return f"{count} explanations are not those that {record.method} gives here; first {outcome.first}."

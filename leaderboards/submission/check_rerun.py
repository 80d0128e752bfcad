"""Whether a bundle's explanations are those that its methods give: the level of trust `re-run`. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ...benchmark.store.record import Record
from ...benchmark.store.store import Store
from ...benchmark.verification.explanation_difference import RerunOutcome
from ...core.errors import FlowgaugeError, NotApplicable
from .trust import Trust, weakest
from .verify import BundleProblem, VerificationReport

RerunMethods = Callable[[Store, Record, int], RerunOutcome]
"""(cells of a bundle as a store, record, instances to sample) -> how explanations come out on the verifier's machine."""
QUICK = 4
"""Instances of a cell that are explained again: the quick tier."""


@dataclass(frozen=True)
class RerunCheck:
    """Runs the method of every cell on a few instances; a further check of `verify`.

    A cell whose explanations come out as stored may show `re-run`. One whose method cannot be run here stays what it is, with the
    reason among the notes. Explanations that come out otherwise are a problem; of a method that is trained first they are a note,
    for training makes a processor's rounding a difference that can be seen, and its cell stays what it is.

    Attributes:
        rerun: Runs a method.
        sample: Instances of each cell.
    """

    rerun: RerunMethods
    sample: int = QUICK

    def __call__(self, store: Store, checked: VerificationReport) -> VerificationReport:
        """What was found so far, and this."""
        problems, notes, again = list(checked.problems), list(checked.notes), dict(checked.rerun)
        for record in checked.records:
            try:
                found = self.rerun(store, record, self.sample)
            except NotApplicable as reason:
                notes.append(BundleProblem(record.folder, f"cannot be re-run: {reason}"))
            except FlowgaugeError as error:
                problems.append(BundleProblem(record.folder, f"re-running it failed: {error}"))
            else:
                if not found.differing:
                    again[record.cell] = found.instances
                elif found.trained:
                    notes.append(
                        BundleProblem(record.folder, f"{_told(record, found)} It was trained anew, perhaps on another processor.")
                    )
                else:
                    problems.append(BundleProblem(record.folder, _told(record, found)))
        levels: list[Trust] = ["re-run" if record.cell in again else checked.trust for record in checked.records]
        trust: Trust = "well-formed" if problems else weakest(levels)
        return replace(checked, problems=tuple(problems), notes=tuple(notes), rerun=again, trust=trust)


def _told(record: Record, found: RerunOutcome) -> str:
    return (
        f"{found.differing} of {found.instances} explanations are not those that {record.method} gives here; first {found.first}."
    )

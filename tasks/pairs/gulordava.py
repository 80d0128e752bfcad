"""Agreement in natural sentences and in sentences without sense (Gulordava et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ...core.errors import UsageError
from ..declare import unique
from ..instance import GAP, Head, Instance, Quantity
from ..sampling import balanced, only_test
from ..table import FileRow
from .local_table import LocalTable

FILE = "gulordava/english_pairs"
COLUMNS = ("pattern", "constr_id", "sent_id", "type", "sentence", "good", "bad", "correct_number")
NUMBERS = {"sing": "singular", "plur": "plural"}
HOME = "https://github.com/facebookresearch/colorlessgreenRNNs (data/agreement/English/generated.tab)"
TABLE = LocalTable((FILE,), COLUMNS, f"{HOME}, with {GAP} for the verb")
REFERENCE = "Gulordava et al. 2018, Colorless Green Recurrent Networks Dream Hierarchically"


@dataclass(frozen=True)
class Gulordava:
    """Does a verb agree with its subject across other words, in natural sentences and in some without sense?

    Of each natural sentence there are nine in which every content word is replaced by another of its kind, so that only grammar
    helps. Which form is right follows from words before the verb, so a model of the next word is asked with these. Conditions are
    the kind of sentence (original, generated) and the number of the right form; a sentence and those made from it are a cluster.

    Source: Gulordava et al. 2018, Colorless Green Recurrent Networks Dream Hierarchically.

    Attributes:
        data_dir: The folder that holds `gulordava/english_pairs.tsv`, with both forms of the verb in one row and [MASK] in their
            place; None: that of the environment variable FLOWGAUGE_DATA. The data are not on the Hub, and are not packaged
            (CC BY-NC 4.0).
    """

    data_dir: str | Path | None = None
    name: str = field(init=False, default="gulordava")
    version: int = field(init=False, default=1)
    head: Head = field(init=False, default="masked")
    quantity: Quantity = field(init=False, default=Quantity())
    reference: str = field(init=False, default=REFERENCE)

    @property
    def source(self) -> str:
        """The file that the sentences are read from."""
        return TABLE.source(self.data_dir)

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """The sentences in the order of the data; with a limit, a seeded sample that is balanced over conditions.

        Args:
            split: `test`, the only one.
            limit: How many sentences; None for all.
            seed: Of the sample.

        Raises:
            NoSplit: Another split.
            UsageError: No data, a missing column, a row without a gap or with an empty cell.
        """
        only_test(self.name, split)
        path, rows = TABLE.read(self.name, self.data_dir)
        return balanced(unique(self.name, (_instance(path, row) for row in rows)), limit, seed)


def _instance(path: Path, row: FileRow) -> Instance:
    """The instance of a row.

    Raises:
        UsageError: A row without one gap, with an empty cell or another number than `sing` or `plur`.
    """
    cells = {column: row.text(column) for column in COLUMNS}
    empty = next((column for column, text in cells.items() if not text), "")
    if empty or cells["sentence"].count(GAP) != 1 or cells["correct_number"] not in NUMBERS:
        fault = f"the cell {empty} is empty" if empty else f"expected one {GAP} in sentence, and sing or plur in correct_number"
        raise UsageError(f"{path}, line {row.line}: {fault}.")
    kind, number = cells["type"], NUMBERS[cells["correct_number"]]
    source = f"{cells['pattern']}/{cells['constr_id']}"
    return Instance(
        id=f"gulordava/{source}/{cells['sent_id']}",
        segments=(cells["sentence"],),
        answer=(cells["good"],),
        against=(cells["bad"],),
        condition=f"{kind}-{number}",
        cluster=source,
        left_to_right=True,
    )

"""Agreement in the sentences of Marvin and Linzen (2018), whose deciding noun is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from ...core.errors import UnknownName, UsageError
from ..declare import unique
from ..instance import GAP, Head, Instance, Quantity
from ..sampling import balanced, only_test
from ..table import FileRow
from .local_table import LocalTable

FILES = tuple(f"marvin_linzen/pairs_{source}{part}" for source in ("current", "emnlp2018") for part in ("", "_part"))
COLUMNS = ("subtask", "grammatical", "target_idx", "good", "bad", "cue_idx", "cue_number", "attractor_number")
LETTERS = {"sing": "S", "plur": "P", "": ""}
HOME = "https://github.com/BeckyMarvin/LM_syneval (its templates, as a table)"
TABLE = LocalTable(FILES, COLUMNS, HOME)
Subtask = Literal[
    "simple_agrmt", "sent_comp", "vp_coord", "long_vp_coord", "prep_anim", "prep_inanim", "subj_rel", "obj_rel_across_anim",
    "obj_rel_across_inanim", "obj_rel_within_anim", "obj_rel_within_inanim", "obj_rel_no_comp_across_anim",
    "obj_rel_no_comp_across_inanim", "obj_rel_no_comp_within_anim", "obj_rel_no_comp_within_inanim", "simple_reflexives",
    "reflexive_sent_comp", "reflexives_across",
]  # fmt: skip
"""Constructions in which one noun decides one word; the authors' names."""


@dataclass(frozen=True)
class MarvinLinzen:
    """Does a verb or a reflexive agree with its noun, across other nouns and clauses?

    The word in which the right and the wrong sentence differ is the gap. It follows the noun that decides, which `truth` names,
    so that `pointing` knows it on any model, also one that splits words; a model of the next word is asked with the words before
    the gap. Conditions are the numbers of that noun and of the one that attracts (SP: singular and plural).

    Source: Marvin and Linzen 2018, Targeted Syntactic Evaluation of Language Models.

    Attributes:
        subtask: The construction.
        data_dir: The folder that holds `marvin_linzen/pairs_current.tsv`; None: that of the environment variable FLOWGAUGE_DATA.
            The data are not on the Hub.

    Raises:
        UsageError: No such construction.
    """

    subtask: Subtask = "obj_rel_across_anim"
    data_dir: str | Path | None = None
    name: str = field(init=False, default="marvin-linzen")
    version: int = field(init=False, default=1)
    head: Head = field(init=False, default="masked")
    quantity: Quantity = field(init=False, default=Quantity())
    reference: str = field(init=False, default="Marvin and Linzen 2018, Targeted Syntactic Evaluation of Language Models")

    def __post_init__(self) -> None:
        if self.subtask not in get_args(Subtask):
            raise UnknownName("subtask of Marvin and Linzen", str(self.subtask), get_args(Subtask))

    @property
    def source(self) -> str:
        """The file that the sentences are read from."""
        return TABLE.source(self.data_dir)

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """The sentences of the construction in the order of the data; with a limit, a seeded sample, balanced over conditions.

        Args:
            split: `test`, the only one.
            limit: How many sentences; None for all.
            seed: Of the sample.

        Raises:
            NoSplit: Another split.
            UsageError: No data, a missing column, or a row that is no pair.
        """
        only_test(self.name, split)
        path, table = TABLE.read(self.name, self.data_dir)
        rows = [row for row in table if row.text("subtask") == self.subtask]
        if not rows:
            raise UsageError(f"{path} has no row of the subtask {self.subtask}.")
        return balanced(unique(self.name, (self._instance(path, row) for row in rows)), limit, seed)

    def _instance(self, path: Path, row: FileRow) -> Instance:
        """The instance of a row.

        Raises:
            UsageError: The answer is not the word at its index, its noun does not stand before it, or a number is unknown.
        """
        words, cells = row.text("grammatical").split(), {column: row.text(column) for column in COLUMNS}
        target, cue = (int(text) if (text := cells[name]).isdigit() else -1 for name in ("target_idx", "cue_idx"))
        fits = 0 <= cue < target < len(words) and words[target] == cells["good"] and cells["bad"]
        if not fits or not {cells["cue_number"], cells["attractor_number"]} <= LETTERS.keys():
            raise UsageError(
                f"{path}, line {row.line}: expected the good word at target_idx, and the noun that decides before it."
            )
        return Instance(
            id=f"{self.name}/{self.subtask}/{row.number}",
            segments=(" ".join([*words[:target], GAP, *words[target + 1 :]]),),
            answer=(cells["good"],),
            against=(cells["bad"],),
            condition=LETTERS[cells["cue_number"]] + LETTERS[cells["attractor_number"]],
            truth={"deciding": ((0, cue),)},
            left_to_right=True,
        )

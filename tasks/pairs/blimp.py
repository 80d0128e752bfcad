"""BLiMP: pairs of sentences that differ in one word, of which one is right (Warstadt et al. 2020)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ...core.errors import UnknownName, UsageError
from ..declare import unique
from ..file_rows import read_table
from ..gaps import gap_between
from ..instance import Head, Instance, Quantity
from ..published_data import DATA_DIR, data_folder, first_file, hub_table
from ..sampling import balanced, only_test
from ..table import BrokenRowError, FileRow

log = logging.getLogger(__name__)
REFERENCE = "Warstadt et al. 2020, BLiMP: The Benchmark of Linguistic Minimal Pairs for English"
HUB = "nyu-mll/blimp"
LEFT_TO_RIGHT = (
    "anaphor_gender_agreement", "anaphor_number_agreement", "animate_subject_passive", "determiner_noun_agreement_1",
    "determiner_noun_agreement_irregular_1", "determiner_noun_agreement_with_adj_irregular_1",
    "determiner_noun_agreement_with_adjective_1", "distractor_agreement_relational_noun", "distractor_agreement_relative_clause",
    "irregular_past_participle_verbs", "irregular_plural_subject_verb_agreement_1", "npi_present_1", "npi_present_2",
    "principle_A_c_command", "principle_A_case_1", "principle_A_case_2", "principle_A_domain_1", "principle_A_domain_2",
    "regular_plural_subject_verb_agreement_1", "wh_island",
)  # fmt: skip
"""Paradigms in which the words before the one that differs decide, as the authors state (`one_prefix_method`)."""
WHOLE_SENTENCE = (
    "animate_subject_trans", "causative", "determiner_noun_agreement_2", "determiner_noun_agreement_irregular_2",
    "determiner_noun_agreement_with_adj_2", "determiner_noun_agreement_with_adj_irregular_2", "drop_argument",
    "existential_there_object_raising", "existential_there_quantifiers_1", "existential_there_subject_raising",
    "expletive_it_object_raising", "inchoative", "intransitive", "irregular_past_participle_adjectives",
    "irregular_plural_subject_verb_agreement_2", "only_npi_licensor_present", "passive_1", "passive_2",
    "regular_plural_subject_verb_agreement_2", "sentential_negation_npi_licensor_present", "superlative_quantifiers_2",
    "tough_vs_raising_1", "tough_vs_raising_2", "transitive", "wh_vs_that_no_gap", "wh_vs_that_no_gap_long_distance",
    "wh_vs_that_with_gap", "wh_vs_that_with_gap_long_distance",
)  # fmt: skip
"""Paradigms with pairs that differ in one word, which words behind it may decide."""
SEVERAL_WORDS = (
    "adjunct_island", "complex_NP_island", "coordinate_structure_constraint_complex_left_branch",
    "coordinate_structure_constraint_object_extraction", "ellipsis_n_bar_1", "ellipsis_n_bar_2",
    "existential_there_quantifiers_2", "left_branch_island_echo_question", "left_branch_island_simple_question",
    "matrix_question_npi_licensor_present", "only_npi_scope", "principle_A_domain_3", "principle_A_reconstruction",
    "sentential_negation_npi_scope", "sentential_subject_island", "superlative_quantifiers_1", "wh_questions_object_gap",
    "wh_questions_subject_gap", "wh_questions_subject_gap_long_distance",
)  # fmt: skip
"""Paradigms whose two sentences differ in several words or in their order, so that no single word is the answer."""
PARADIGMS = tuple(sorted((*LEFT_TO_RIGHT, *WHOLE_SENTENCE)))
"""The paradigms that are tasks."""
COLUMNS = {"good": ("sentence_good", "grammatical"), "bad": ("sentence_bad", "ungrammatical"), "id": ("pairID", "pair_id")}
"""What files call the two sentences and the number of a pair."""


@dataclass(frozen=True)
class Blimp:
    """Pairs of sentences of a paradigm of BLiMP: the word in which they differ is the gap, and the right sentence has the answer.

    A pair that differs in more than one word is left out and counted, since no single token tells its sentences apart. Where the
    words before the gap decide, as the authors state, a model of the next word is asked with these words alone; elsewhere only
    where nothing but punctuation follows the gap.

    Attributes:
        paradigm: One of `PARADIGMS`.
        data_dir: The folder that holds `blimp/<paradigm>.jsonl` as published, or one table of all paradigms, `blimp/blimp.tsv`
            with a column `paradigm`; None: that of the environment variable FLOWGAUGE_DATA, else the Hub is read.

    Raises:
        UsageError: No such paradigm, or one whose sentences differ in several words.
    """

    paradigm: str
    data_dir: str | Path | None = None
    version: int = field(init=False, default=1)
    head: Head = field(init=False, default="masked")
    quantity: Quantity = field(init=False, default=Quantity())
    reference: str = field(init=False, default=REFERENCE)

    def __post_init__(self) -> None:
        if self.paradigm in SEVERAL_WORDS:
            raise UsageError(several_words(self.paradigm))
        if self.paradigm not in PARADIGMS:
            raise UnknownName("paradigm of BLiMP", self.paradigm, PARADIGMS)

    @property
    def name(self) -> str:
        """`blimp/` and the paradigm."""
        return f"blimp/{self.paradigm}"

    @property
    def doc(self) -> str:
        """The line of `flowgauge list`."""
        return f"The word in which two sentences of BLiMP differ: {self.paradigm.replace('_', ' ')}."

    @property
    def source(self) -> str:
        """The file or the data set on the Hub that the pairs are read from."""
        folder = data_folder(self.data_dir)
        if folder is None:
            return f"hub {HUB} {self.paradigm}: train"
        path = self._file(folder)
        return f"data folder: {path.relative_to(folder).as_posix() if path else 'nothing found'}"

    def left_out(self, split: str) -> str:
        """How many pairs are left out because they differ in more than one word, and the first reason; empty where none is."""
        return self._usable[1]

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """The pairs in the order of the data; with a limit, a seeded sample.

        Args:
            split: `test`, the only one.
            limit: How many pairs; None for all.
            seed: Of the sample.

        Raises:
            NoSplit: Another split.
            UsageError: Data that cannot be found or read.
        """
        only_test(self.name, split)
        return balanced(self._usable[0], limit, seed)

    @cached_property
    def _usable(self) -> tuple[tuple[Instance, ...], str]:
        """The instances, and how many pairs are left out and why."""
        instances, reasons = [], list[str]()
        for row in self._rows():
            try:
                instances.append(self._instance(row))
            except BrokenRowError as error:
                reasons.append(f"line {row.line}: {error}")
        if not instances:
            raise UsageError(f"no pair of {self.name} differs in one word; the first: {(reasons or ['there are none'])[0]}")
        pairs, said = len(reasons) + len(instances), ""
        if reasons:
            said = f"{len(reasons)} of {pairs} pairs of {self.name} are left out, the first: {reasons[0]}"
            log.warning(said)
        return unique(self.name, instances), said

    def _instance(self, row: FileRow) -> Instance:
        pair = gap_between(_cell(row, "good"), _cell(row, "bad"))
        key = _cell(row, "id") or str(row.number - 1)
        return Instance(
            f"{self.name}/{key}", (pair.text,), (pair.good,), (pair.bad,), left_to_right=self.paradigm in LEFT_TO_RIGHT
        )

    def _file(self, folder: Path) -> Path | None:
        return first_file(folder, (f"blimp/{self.paradigm}", f"blimp/data/{self.paradigm}", "blimp/blimp"))

    def _rows(self) -> Iterator[FileRow]:
        """The paradigm's rows.

        Raises:
            UsageError: No file, or one without the sentences of a pair.
        """
        folder = data_folder(self.data_dir)
        wanted = f"put {self.paradigm}.jsonl of https://github.com/alexwarstadt/blimp as blimp/{self.paradigm}.jsonl"
        if folder is None:
            remedy = f"{wanted} into a folder and name it with --data-dir DIR (or {DATA_DIR}=DIR)"
            for index, cells in enumerate(hub_table(self.name, (HUB, self.paradigm), "train", remedy)):
                yield FileRow(index + 1, index + 1, cells)
            return
        path = self._file(folder)
        if path is None:
            raise UsageError(f"task {self.name!r} finds no blimp/{self.paradigm}.* in {folder}: {wanted} there.")
        table = read_table(path)
        absent = [" or ".join(names) for kind, names in COLUMNS.items() if kind != "id" and not {*names} & {*table.columns}]
        if absent:
            raise UsageError(f"{path} has no column {absent[0]}; it has {', '.join(table.columns)}. Rename its columns.")
        rows = [row for row in table.rows if "paradigm" not in table.columns or row.text("paradigm") == self.paradigm]
        if not rows:
            raise UsageError(f"{path} has no row of the paradigm {self.paradigm}.")
        yield from rows


def _cell(row: FileRow, kind: str) -> str:
    """The text of a cell under any of its names."""
    return next((text for name in COLUMNS[kind] if (text := row.text(name))), "")


def several_words(paradigm: str) -> str:
    """Why a paradigm of BLiMP is no task."""
    return (
        f"the sentences of BLiMP's paradigm {paradigm} differ in several words or in their order, so that no single word is the "
        f"answer: choose one of the {len(PARADIGMS)} paradigms that `flowgauge list tasks` shows."
    )


def blimp(paradigm: str, data_dir: str | None = None) -> Blimp:
    """The word in which two sentences of BLiMP differ, of one of its paradigms.

    A paradigm is a construction of English grammar, such as a determiner and its noun. A pair that differs in more than one word
    is left out and counted. A model of the next word is asked with the words before the gap where these decide, as the authors
    state (20 paradigms), or where nothing but punctuation follows; elsewhere the task is refused, and a masked LM is asked.

    Source: Warstadt et al. 2020, BLiMP: The Benchmark of Linguistic Minimal Pairs for English.
    """
    return Blimp(paradigm, data_dir)

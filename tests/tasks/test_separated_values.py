"""Files of separated values: which quotation marks are quoting, and which are characters."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowgauge.tasks.separated_values import read_cells

QUOTES = {
    "doubled": ('s\tl\n"the ""good"" film"\t1\n', ['the "good" film']),
    "over several lines": ('s\tl\n"the\nfilm"\t1\n', ["the\nfilm"]),
    "a whole column": ('s\tl\n"the film"\t1\n"it"\t0\n', ["the film", "it"]),
    "one cell of several": ('s\tl\n"the film"\t1\nit\t0\n', ['"the film"', "it"]),
    "one that is not closed": ('s\tl\n"a ""b"" c"\t1\nit "is\t0\n', ['"a ""b"" c"', 'it "is']),
}


@pytest.mark.parametrize("case", QUOTES)
def test_quotation_marks_of_tsv_are_read_as_quoting_only_where_a_program_quoted(case: str) -> None:
    text, expected = QUOTES[case]
    assert [row.text("s") for row in read_cells(Path("a.tsv"), text, tabs=True).rows] == expected

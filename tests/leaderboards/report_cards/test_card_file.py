"""Cards as JSON: null beside a reason, and the same cards when they are read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.report_cards.card_file import read_cards, to_json
from flowgauge.leaderboards.report_cards.cards import ReportCards, report_cards


@pytest.fixture(scope="module")
def cards(known_store: str) -> ReportCards:
    return report_cards(known_store)


def test_json_has_null_beside_a_reason(cards: ReportCards) -> None:
    stored = json.loads(to_json(cards))
    assert stored["methods"] == 4 and stored["tasks"][1] == {"model": "toy", "task": "planted/1", "instances": 24}
    by_name = {card["metric"]: card for card in stored["cards"]}
    assert by_name["share"]["truth"] == {
        "value": None, "low": None, "high": None, "tasks": 0, "reason": "the metric says of no end that it is better"
    }  # fmt: skip
    assert by_name["copy"]["power"]["oracle:noise=1"]["value"] == 1 and by_name["copy"]["truth"]["tasks"] == 5


def test_what_is_read_is_what_was_written(cards: ReportCards, tmp_path: Path) -> None:
    path = tmp_path / "cards.json"
    path.write_text(to_json(cards))
    read = read_cards(path)
    assert repr(read) == repr(cards)  # NaN equals nothing
    assert read.cards[-1].higher_is_better is None and read.cards[-1].metric == "share"


@pytest.mark.parametrize(
    ("text", "why"),
    [("[]", "its kind is not flowgauge-report-cards"), ("{", "Expecting"),
     ('{"kind": "flowgauge-report-cards", "tasks": [], "methods": 1}', "cards: Field required"),
     ('{"kind": "flowgauge-report-cards", "tasks": [], "methods": "many", "cards": []}', "methods: Input should be"),
     ('{"kind": "flowgauge-report-cards", "tasks": [], "methods": 1, "cards": []}', "it has no cards"),
     ("[" * 100_000, "recursion")],
)  # fmt: skip
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(UsageError, match="`flowgauge report-card STORE --out DIR` writes them") as refused:
        read_cards(tmp_path / "other.json")
    assert why in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "why"),
    [({"correlations": {}}, "the card of copy has no correlation with"), ({"operators": ["nothing"]}, "correlation with nothing"),
     ({"power": {"oracle": {"value": 1}}}, "could not convert"), ({"metric": "share"}, "a metric has two cards")],
)  # fmt: skip
def test_cards_that_do_not_fit_together_are_refused(cards: ReportCards, tmp_path: Path, fields: dict[str, Any], why: str) -> None:
    stored = json.loads(to_json(cards))
    next(card for card in stored["cards"] if card["metric"] == "copy").update(fields)
    (tmp_path / "cards.json").write_text(json.dumps(stored))
    with pytest.raises(UsageError, match="`flowgauge report-card STORE --out DIR` writes them") as refused:
        read_cards(tmp_path / "cards.json")
    assert why in str(refused.value)

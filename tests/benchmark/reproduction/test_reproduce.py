"""Runs of a paper: on which model, from what is stored already, and why one is not made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flowgauge.benchmark.reproduction import reproduce as module
from flowgauge.benchmark.reproduction.paper import load_paper
from flowgauge.benchmark.reproduction.reproduce import reproduce
from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.leaderboards.reproduction.report import PaperReport, compare_with_paper


def test_a_run_without_a_model_says_how_to_train_one(toy_report: PaperReport) -> None:
    _, reviews = toy_report.reproduction.outcomes
    assert reviews.records == ()
    assert reviews.reason.startswith("needs a model fine-tuned on sst2: `flowgauge train --model BASE --task sst2 --out DIR`")
    assert reviews.reason.endswith("then --model sst2=DIR")


def test_what_is_stored_is_not_computed_again(toy_report: PaperReport, toy_paper: Path, tiny_model: Path) -> None:
    done = toy_report.reproduction
    again = reproduce(load_paper(toy_paper), done.store, models=(f"agreement={tiny_model}",), device="cpu")
    assert again.outcomes == done.outcomes


def test_a_store_of_another_model_gives_none_of_its_numbers(
    toy_report: PaperReport, toy_paper: Path, tiny_folder: Callable[..., Path]
) -> None:
    done = toy_report.reproduction
    other = tiny_folder("bert", "masked", 2)
    again = reproduce(load_paper(toy_paper), done.store, models=(str(other),), quick=True, device="cpu")
    assert {record.model for record in again.outcomes[0].records} == {other.name}
    assert not {r.cell for r in again.outcomes[0].records} & {r.cell for r in done.outcomes[0].records}


def test_quick_is_smaller_and_limit_wins(toy_paper: Path, tiny_model: Path, tmp_path: Path) -> None:
    done = reproduce(load_paper(toy_paper), str(tmp_path), models=(str(tiny_model),), quick=True, limit=8, device="cpu")
    assert [(r.task, r.settings["depth"], r.instances) for r in done.outcomes[0].records] == [
        ("sva/obj", 1, 8),
        ("sva/obj", 2, 8),
    ]


def test_absent_data_are_named(toy_paper: Path, tiny_folder: Callable[..., Path], tmp_path: Path) -> None:
    label = str(tiny_folder("bert", "label"))
    (tmp_path / "data").mkdir()
    models = (label, f"agreement={tiny_folder()}")
    done = reproduce(
        load_paper(toy_paper), str(tmp_path / "store"), models=models, quick=True, device="cpu", data_dir=str(tmp_path / "data")
    )
    assert [bool(outcome.records) for outcome in done.outcomes] == [True, False]
    assert done.outcomes[1].reason.startswith("needs sst2: ")


def test_each_seed_can_have_a_model_of_its_own(toy_paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = load_paper(toy_paper)
    run = paper.runs[0].model_copy(update={"model": "planted:seed={seed}", "plan": {**paper.runs[0].plan, "seeds": [0, 1]}})
    asked: list[tuple[object, object]] = []

    class Records:
        records = ()

    def note(plan: object, **fields: object) -> type[Records]:
        asked.append((fields["model"], fields["seeds"]))
        return Records

    monkeypatch.setattr(module, "run_plan", note)
    reproduce(paper.model_copy(update={"runs": (run,)}), str(tmp_path))
    assert asked == [("planted:seed=0", (0,)), ("planted:seed=1", (1,))]


def test_models_that_fit_nothing_are_refused(toy_paper: Path, tiny_folder: Callable[..., Path], tmp_path: Path) -> None:
    paper, store = load_paper(toy_paper), str(tmp_path)
    tiny = str(tiny_folder())
    with pytest.raises(UsageError, match=r"head .*\(span\) fits no run of toy-paper: agreement \(masked\), sst2 \(label\)"):
        reproduce(paper, store, models=(str(tiny_folder("bert", "span")),))
    with pytest.raises(UsageError, match="two models are named for the run 'agreement'"):
        reproduce(paper, store, models=(f"agreement={tiny}", f"agreement={tiny}"))
    with pytest.raises(UnknownName, match="no run of toy-paper is called 'agrement': did you mean agreement"):
        reproduce(paper, store, models=(f"agrement={tiny}",))
    with pytest.raises(UnknownName, match="no model is called"):
        reproduce(paper, store, models=("agreement=./no/such/folder",))
    with pytest.raises(UsageError, match="name the run that 'toy-counting:seed=1' is for"):
        reproduce(paper, store, models=("toy-counting:seed=1",))


def test_a_paper_of_which_no_run_can_be_made_is_an_error(toy_paper: Path, tmp_path: Path) -> None:
    paper = load_paper(toy_paper)
    with pytest.raises(UsageError, match="no run of toy-paper could be made: needs a model fine-tuned on sst2"):
        reproduce(paper.model_copy(update={"runs": paper.runs[1:]}), str(tmp_path))


@pytest.mark.parametrize(
    ("model", "remark"), [("agreement-bert", "larger model"), ("agreement-gpt2", "larger model"), ("", "smaller model")]
)
def test_the_model_is_held_against_the_papers(
    model: str, remark: str, toy_paper: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Records:
        records = ()

    monkeypatch.setattr(module, "run_plan", lambda plan, **fields: Records)
    done = reproduce(load_paper(toy_paper), str(tmp_path), models=(model or str(tiny_model),))
    assert done.outcomes[0].remark == remark


def test_a_run_can_say_what_a_model_for_it_looks_like(toy_paper: Path, tiny_model: Path, tmp_path: Path) -> None:
    paper = load_paper(toy_paper)
    runs = (paper.runs[0], paper.runs[1].model_copy(update={"example": "sst-gru:embeddings=MODEL"}))
    done = reproduce(
        paper.model_copy(update={"runs": runs}), str(tmp_path), models=(str(tiny_model),), quick=True, limit=4, device="cpu"
    )
    assert done.outcomes[1].reason == "needs a model: --model sst2=sst-gru:embeddings=MODEL"


def test_some_runs_can_be_left_out(toy_report: PaperReport, toy_paper: Path, tiny_folder: Callable[..., Path]) -> None:
    paper, done = load_paper(toy_paper), toy_report.reproduction
    models = (f"agreement={tiny_folder()}", f"sst2={tiny_folder('bert', 'label')}")
    again = reproduce(paper, done.store, models=models, runs=("agreement",), device="cpu")
    assert again.outcomes[0] == done.outcomes[0] and again.outcomes[1].reason == "left out by --run"
    with pytest.raises(UnknownName, match="no run of toy-paper is called 'agrement': did you mean agreement"):
        reproduce(paper, done.store, runs=("agrement",))


def test_attention_attribution_reads_variants_that_its_metrics_have(
    tiny_folder: Callable[..., Path], tiny_data: Path, tmp_path: Path
) -> None:
    """On a random classifier: what is not run has another model or another size, and never a name that does not exist.

    So few instances may have fewer than three triggers.
    """
    done = reproduce(
        load_paper("attattr"), str(tmp_path), models=(f"sst2={tiny_folder('bert', 'label')}",), runs=("sst2",), quick=True,
        data_dir=str(tiny_data), device="cpu",
    )  # fmt: skip
    assert {record.status for record in done.outcomes[0].records} == {"done"}
    reasons = {n.entry.reason for table in compare_with_paper(done).tables for _, _, n in table.numbers if not n.entry.known}
    expected = {
        "layer_head_pruning has no variant oracle/least-first/10 here", "receptive_field has no variant layer/12/mean here",
    }  # fmt: skip
    assert "left out by --run" in reasons and {r for r in reasons if "no variant" in r and "/trigger/" not in r} <= expected

"""Re-running methods: what reaches `re-run`, what is caught, and what says why it cannot be run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import flowgauge
from flowgauge.benchmark.store.explanation_file import Part
from flowgauge.benchmark.store.store import Store
from flowgauge.benchmark.verification.explanation_difference import RerunOutcome
from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer
from flowgauge.benchmark.verification.rerun_methods import MethodRerunner
from flowgauge.benchmark.verification.secret_seed_instances import SecretSeedRun
from flowgauge.cli import app
from flowgauge.leaderboards.submission.board import merge
from flowgauge.leaderboards.submission.bundle import pack
from flowgauge.leaderboards.submission.check_rerun import RerunCheck
from flowgauge.leaderboards.submission.check_secret_seed import SecretSeedCheck
from flowgauge.leaderboards.submission.ledger import read_ledger, trusted
from flowgauge.leaderboards.submission.verify import VerificationReport, verify
from flowgauge.tasks.agreement import capacity
from flowgauge.tasks.lexicon import templates

from ..forged import claim, edit_json, rekey, resign
from .tamperings.edits import edit_part

ALL = capacity(templates()["sva/obj"], "SP")
"""Sentences of a condition: with all of them in `test`, the task has no train split."""


def rerun(bundle: Path, count: int = 3) -> VerificationReport:
    recheck = ScoreRecomputer(device="cpu", seed=5)
    return verify(bundle, recheck, 2, [RerunCheck(MethodRerunner(recheck), count)])


def told(checked: VerificationReport) -> str:
    return "\n".join(problem.what for problem in checked.problems)


def test_an_honest_bundle_is_rerun(honest):
    checked = rerun(honest)
    assert checked.problems == checked.notes == () and checked.trust == "re-run"
    assert set(checked.rerun.values()) == {3} and len(checked.rerun) == 2
    assert all(checked.level(record) == "re-run" for record in checked.records)


def test_explanations_of_other_settings_are_caught_although_their_scores_are_right(bundle):
    claim(bundle, "integrated-gradients", "integrated-gradients:samples=4,baseline=zero")
    assert verify(bundle, ScoreRecomputer(device="cpu"), 2).trust == "re-scored", "by scores alone it cannot be told"
    checked = rerun(bundle)
    assert "3 of 3 explanations are not those that integrated-gradients gives here; first 'sva/obj/" in told(checked)
    assert "tokens differ by up to" in told(checked) and checked.trust == "well-formed"


def test_explanations_of_another_method_are_caught(bundle):
    claim(bundle, "integrated-gradients", "saliency")
    assert "it has nodes, tokens, here it has tokens" in told(rerun(bundle))


def test_a_claim_of_paths_is_held_against_paths(bundle):
    claim(bundle, "influence-patterns", "influence-patterns:samples=3")
    store = Store(str(bundle / "cells"))
    (record,) = [record for record in store.records() if record.method == "influence-patterns"]
    outcome = MethodRerunner(ScoreRecomputer(device="cpu"))(store, record, 3)
    assert outcome.differing == 3 and "tokens differ by up to" in outcome.first


def test_explanations_touched_up_by_a_percent_are_caught(bundle):
    def touched(part: Part) -> Part:
        gold = tuple(replace(one, nodes=one.nodes * 1.01) for one in part.gold)
        pairs = zip(gold, part.gold, part.predicted, strict=True)
        return replace(part, gold=gold, predicted=tuple(new if there is old else there for new, old, there in pairs))

    edit_part(bundle, "integrated-gradients", touched)
    resign(bundle)
    recheck = ScoreRecomputer(device="cpu")
    (record,) = [r for r in verify(bundle).records if r.method == "integrated-gradients"]
    found = MethodRerunner(recheck)(Store(str(bundle / "cells")), record, 8)
    assert (found.instances, found.differing) == (8, 8) and "nodes differ by up to" in found.first


def test_what_cannot_be_run_says_why_and_keeps_its_level(bundle, tmp_path):
    questions = flowgauge.questions("sva/obj", limit=8, device="cpu")
    flowgauge.write_explanations(
        tmp_path / "handed", {q.id: np.arange(len(q.tokens)) for q in questions}, method="mine", producer="a notebook",
        producer_version="3", task="sva/obj", limit=8, same_for_predicted=True,
    )  # fmt: skip
    store = str(tmp_path / "store")
    flowgauge.run(tasks="sva/obj", methods="saliency", metrics="comprehensiveness", limit=8, store=store, device="cpu")
    flowgauge.import_explanations(tmp_path / "handed", store, ["comprehensiveness"], device="cpu")
    pack(store, tmp_path / "new", "me")
    checked = rerun(tmp_path / "new")
    assert checked.problems == () and checked.trust == "re-scored"
    assert [n.what for n in checked.notes] == [
        "cannot be re-run: its explanations were computed outside flowgauge, by a notebook 3: there is nothing to run."
    ]
    recheck, board = ScoreRecomputer(device="cpu"), str(tmp_path / "board")
    event = merge(tmp_path / "new", board, recheck, sample=2, further=[RerunCheck(MethodRerunner(recheck), 2)])
    assert (event.action, event.trust, len(event.cells)) == ("entered", "re-scored", 2)
    levels = trusted(read_ledger(Store(board)))
    assert {name.split("/")[3].rpartition("-")[0]: level for name, level in levels.items()} == {
        "saliency": "re-run", "outside.mine": "re-scored",
    }  # fmt: skip


def test_a_cell_whose_method_does_not_apply_is_no_problem(tmp_path):
    store = str(tmp_path / "store")
    flowgauge.run(
        tasks=f"sva/obj:sentences={ALL}", methods=["saliency", "diffmask-input:steps=3"], metrics="comprehensiveness", limit=4,
        store=store, device="cpu",
    )  # fmt: skip
    pack(store, tmp_path / "bundle", "me")
    recheck = ScoreRecomputer(device="cpu")
    checked = verify(
        tmp_path / "bundle", recheck, 2, [RerunCheck(MethodRerunner(recheck), 1), SecretSeedCheck(SecretSeedRun(recheck, 5, 4))]
    )
    assert {record.status for record in checked.records} == {"done", "not-applicable"} and checked.problems == ()
    assert "cannot be re-run: it has no explanations: " in checked.notes[0].what and len(checked.rerun) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda s: (s.update(method="other"), s["key"]["method"].update(name="other")),
            "the method 'other' is not installed here",
        ),
        (lambda s: s["key"]["method"].update(version=99), "is another: its version is 1, there 99"),
        (lambda s: s["key"]["method"].update(source="ab" * 32), 'is another: its source is "", there "abab'),
    ],
)
def test_methods_that_are_not_here_are_named(bundle, change, why):
    rekey(bundle, "integrated-gradients", change)
    checked = rerun(bundle, 1)
    assert checked.trust == "re-scored" and checked.problems == ()
    assert all(why in note.what for note in checked.notes) and "cannot be re-run: " in checked.notes[-1].what
    assert len(checked.rerun) == 1, "the other cell was re-run all the same"


@pytest.mark.parametrize("what", ["task", "model", "metric", "setting"])
def test_files_that_a_bundle_names_are_not_run(bundle, tmp_path, what):
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")

    def name_it(stored):
        if what == "setting":
            stored["asked"]["model"] = f"sst-gru:embeddings={trap}:name"
        elif what == "metric":
            stored["scores"]["ablated_accuracy@1"]["name"] = str(trap)
        else:
            stored["asked"][what] = {"name": str(trap)} if what == "task" else str(trap)

    for record in bundle.glob("cells/**/record.json"):
        edit_json(record, name_it)
    resign(bundle)
    recheck = ScoreRecomputer(device="cpu")
    for record in (Store(str(bundle / "cells"))).records():
        with pytest.raises(flowgauge.FlowgaugeError, match="code that comes with a bundle is not run"):
            recheck(Store(str(bundle / "cells")), record, "ablated_accuracy@1", 2)
    assert not (tmp_path / "sprung").exists()


def test_trained_explanations_that_come_out_otherwise_are_noted_and_not_vouched_for(honest):
    checked = verify(honest, ScoreRecomputer(device="cpu"), 2)
    store = Store(str(honest / "cells"))
    found = RerunCheck(lambda _, record, sample: RerunOutcome(sample, 1, "'x': tokens differ.", trained=True), 3)(store, checked)
    assert not found.problems and not found.rerun and found.trust == "re-scored"
    assert len(found.notes) == len(checked.records) and "another processor" in found.notes[0].what
    others = RerunCheck(lambda _, record, sample: RerunOutcome(sample, 1, "'x': tokens differ."), 3)(store, checked)
    assert others.trust == "well-formed" and len(others.problems) == len(checked.records)


def test_a_record_that_passes_for_one_of_a_trained_method_is_caught(bundle):
    rekey(bundle, "integrated-gradients", lambda stored: stored["key"].update(trained_on={"sample_seed": 0}))
    assert "is not trained first, and its record says otherwise" in told(rerun(bundle))


def test_on_the_command_line(honest, bundle, tmp_path):
    call = lambda *words: CliRunner().invoke(app, ["leaderboard", *words, "--device", "cpu"])  # noqa: E731
    seen = call("verify", str(honest), "--sample", "1", "--rerun", "1")
    assert seen.exit_code == 0 and "2 cells are re-run" in seen.stdout and "--sample-seed" in seen.stderr, seen.output
    made = call("merge", str(honest), str(tmp_path / "board"), "--sample", "1", "--rerun", "1", "--sample-seed", "3")
    assert made.exit_code == 0 and "2 cells entered" in made.stdout and "as re-run" in made.stdout, made.output
    claim(bundle, "integrated-gradients", "integrated-gradients:samples=4,baseline=zero")
    caught = call("verify", str(bundle), "--sample", "1", "--rerun", "1")
    assert caught.exit_code == 1 and "1 of 1 explanations are not those" in caught.stdout
    refused = call("verify", str(bundle), "--form-only", "--rerun", "1")
    assert refused.exit_code == 2 and "leave one out" in refused.stderr

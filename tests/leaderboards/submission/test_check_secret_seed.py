"""Secret seeds and fresh instances: commitments that bind, and methods that only do well on what was published."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import flowgauge
from flowgauge.benchmark.store.store import Store
from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer
from flowgauge.benchmark.verification.secret_seed_instances import SecretSeedRun
from flowgauge.cli import app
from flowgauge.leaderboards.submission.bundle import pack
from flowgauge.leaderboards.submission.check_secret_seed import ALPHA, SecretSeedCheck, compare
from flowgauge.leaderboards.submission.seed_commitment import (
    Secret,
    read_secret,
)
from flowgauge.leaderboards.submission.verify import verify
from flowgauge.metrics.scores import COLUMNS
from flowgauge.tasks.registry import load_task

from ..forged import claim

SEED = Secret(20_260_101, "0f" * 16)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> Path:
    """Integrated gradients and saliency on 16 sentences; the bundle is beside the store."""
    folder = tmp_path_factory.mktemp("tuned")
    methods = ["integrated-gradients:samples=4,nodes=false", "gradient-x-input"]
    flowgauge.run(
        tasks="sva/obj", methods=methods, metrics=["comprehensiveness", "loo_correlation"], limit=16, store=str(folder / "store"),
        device="cpu",
    )  # fmt: skip
    pack(str(folder / "store"), folder / "bundle", "me")
    return folder


def checked(bundle: Path, seed: int = SEED.seed, count: int = 16):
    recheck = ScoreRecomputer(device="cpu")
    return verify(bundle, recheck, 2, [SecretSeedCheck(SecretSeedRun(recheck, seed, count))])


def test_an_honest_bundle_holds_on_fresh_instances(tuned):
    found = checked(tuned / "bundle")
    assert found.problems == () and found.trust == "re-scored"
    assert len(found.notes) == 4 and all("16 fresh ones" in note.what for note in found.notes)
    assert all("sampling explains it" in note.what for note in found.notes)


def test_fresh_sentences_are_none_that_the_published_seed_draws(tuned):
    bundle = Store(str(tuned / "bundle" / "cells"))
    record = bundle.records()[0]
    found = SecretSeedRun(ScoreRecomputer(device="cpu"), SEED.seed, 16)(bundle, [record])
    names = set(found.rows[record.cell, "comprehensiveness@1"]["instance"])
    public = {instance.id for instance in load_task("sva/obj").instances("test", None, 0)}
    secret = {instance.id for instance in load_task("sva/obj").instances("test", None, SEED.seed)}
    assert len(names) == found.instances == 16 and not names & public and names < secret
    conditions = found.rows[record.cell, "comprehensiveness@1"].drop_duplicates("instance")["condition"]
    assert conditions.value_counts().to_dict() == dict.fromkeys(("SS", "SP", "PS", "PP"), 4)


def test_fresh_sentences_for_trained_methods_are_none_that_they_were_trained_on(tuned):
    bundle, fresh = Store(str(tuned / "bundle" / "cells")), SecretSeedRun(ScoreRecomputer(device="cpu"), SEED.seed, 1000)
    asked, _ = fresh.recomputer.encoded(bundle, bundle.records()[0])
    train = {instance.id for instance in load_task("sva/obj").instances("train", None, 0)}
    plain, held = ({instance.id for instance in fresh._instances(asked, trained)} for trained in (False, True))
    assert plain & train and held == plain - train and held


def test_explanations_that_only_do_well_on_published_sentences_are_caught(tuned, tmp_path):
    """What a method gives on the public sentences was replaced by something better; here, and scored, all is consistent."""
    store = tmp_path / "store"
    flowgauge.run(
        tasks="sva/obj",
        methods=["shapley-sampling:samples=8"],
        metrics=["comprehensiveness"],
        limit=16,
        store=str(store),
        device="cpu",
    )
    pack(str(store), tmp_path / "bundle", "me")
    claim(tmp_path / "bundle", "shapley-sampling", "random:draws=3")
    assert verify(tmp_path / "bundle", ScoreRecomputer(device="cpu"), 3).trust == "re-scored", "by its scores it cannot be told"
    found = checked(tmp_path / "bundle")
    (problem,) = found.problems
    assert "random-" in problem.where and "more than sampling explains" in problem.what
    assert found.trust == "well-formed"


def test_what_cannot_be_regenerated_says_why(tmp_path, tiny_folder, tiny_data):
    store = str(tmp_path / "store")
    flowgauge.run(
        tasks="sst2", model=str(tiny_folder("bert", "label")), data_dir=str(tiny_data), store=store, device="cpu", limit=4,
        methods="saliency", metrics="comprehensiveness",
    )  # fmt: skip
    pack(store, tmp_path / "bundle", "me")
    recheck = ScoreRecomputer(str(tiny_folder("bert", "label")), str(tiny_data), "cpu")
    found = verify(tmp_path / "bundle", recheck, 2, [SecretSeedCheck(SecretSeedRun(recheck, 5, 4))])
    (note,) = found.notes
    assert "the instances of sst2 do not depend on a seed, so that none are fresh" in note.what
    assert found.problems == () and found.trust == "re-scored"


def test_what_came_from_outside_says_why(tmp_path):
    questions = flowgauge.questions("sva/obj", limit=4, device="cpu")
    flowgauge.write_explanations(
        tmp_path / "handed", {q.id: np.arange(len(q.tokens)) for q in questions}, method="mine", producer="nb",
        producer_version="3", task="sva/obj", limit=4, same_for_predicted=True,
    )  # fmt: skip
    flowgauge.import_explanations(tmp_path / "handed", str(tmp_path / "store"), ["comprehensiveness"], device="cpu")
    pack(str(tmp_path / "store"), tmp_path / "bundle", "me")
    found = checked(tmp_path / "bundle", count=4)
    (note,) = found.notes
    assert "cannot be checked on fresh instances: its explanations were computed outside flowgauge" in note.what
    assert found.problems == ()


def rows(values: list[float], condition: str | list[str] = "S", variant: str = "v") -> pd.DataFrame:
    names = [f"{variant}{i}" for i in range(len(values))]
    conditions = [condition] * len(values) if isinstance(condition, str) else condition
    frame = pd.DataFrame({"instance": names, "condition": conditions, "variant": variant, "draw": 0, "value": values})
    return frame.assign(reason="", cluster="")[list(COLUMNS)]


def test_the_band_is_that_of_all_permutations():
    """Three scores and three others, 20 ways to part six, by hand: |mean - mean| is 2 only as it is and mirrored, else 2/3."""
    found = compare(rows([1.0, 1, 1]), rows([-1.0, -1, -1]), "v", tail=0.2)
    assert (found.difference, found.explained, found.outside) == (2.0, pytest.approx(2 / 3), True)
    assert (found.low, found.high) == (pytest.approx(4 / 3), pytest.approx(8 / 3))
    assert not compare(rows([1.0, 1, 1]), rows([-1.0, -1, -1]), "v", tail=0.05).outside, "two of twenty are a tenth"


def test_a_side_whose_scores_are_all_alike_is_no_proof():
    """Eight right of eight and 26 of 32: a bootstrap of each side alone would call this a difference (the left has no spread)."""
    assert not compare(rows([1.0] * 8), rows([1.0] * 26 + [0.0] * 6), "v").outside
    assert compare(rows([1.0] * 8), rows([1.0] * 8 + [0.0] * 24), "v").outside


def test_conditions_that_score_otherwise_are_kept_apart():
    left = rows([0.0, 0.1, 5.0, 5.1, 5.2, 5.3], ["S", "S", "P", "P", "P", "P"])
    right = rows([0.1, 0.0, 0.1, 0.0, 5.0, 5.2], ["S"] * 4 + ["P"] * 2)
    found = compare(left, right, "v")
    assert abs(found.difference) < 0.2 and not found.outside
    assert compare(left, rows([1.0], "Q"), "v") is None
    assert compare(rows([1.0, np.nan]), rows([1.0, 1.0]), "v").submitted_count == 1


def test_false_alarms_are_as_rare_as_promised():
    rng = np.random.default_rng(0)
    alarms = [
        compare(rows(list(rng.exponential(size=12))), rows(list(rng.exponential(size=20))), "v").outside for _ in range(200)
    ]
    assert np.mean(alarms) <= 0.09, "three standard errors above 5 %"
    power = [compare(rows(list(rng.normal(1, 1, 20))), rows(list(rng.normal(0, 1, 20))), "v").outside for _ in range(50)]
    assert np.mean(power) > 0.7 and ALPHA == 0.05


def test_on_the_command_line(tuned, tmp_path, monkeypatch):
    monkeypatch.setattr("secrets.randbits", lambda bits: 7)  # fresh scores of one seed in twenty are outside
    call = lambda *words: CliRunner().invoke(app, ["leaderboard", *words])  # noqa: E731
    board, secret, bundle = str(tmp_path / "board"), tmp_path / "secret", str(tuned / "bundle")
    made = call("commit-seed", board, "--out", str(secret), "--why", "spring", "--name", "me")
    assert made.exit_code == 0 and made.stdout.strip() == read_secret(str(secret)).commitment, made.output
    verify_it = ("verify", bundle, "--sample", "1", "--device", "cpu", "--fresh", "8")
    seen = call(*verify_it, "--seed", str(secret), "--board", board)
    assert seen.exit_code == 0 and seen.stdout.count("8 fresh ones") == 4 and "opens the commitment" in seen.stderr, seen.output
    wrong = call(*verify_it, "--seed", SEED.text, "--board", board)
    assert wrong.exit_code == 2 and "opens none of the 1 commitments" in wrong.stderr
    missing = call(*verify_it, "--seed", SEED.text)
    assert missing.exit_code == 2 and "needs --board" in missing.stderr
    shown = call("reveal-seed", board, str(secret))
    assert shown.exit_code == 0 and shown.stdout.strip() == secret.read_text().strip()
    told = call("ledger", board).stdout
    assert (
        f"committed, {read_secret(str(secret)).commitment} by me: spring" in told
        and f"revealed, {secret.read_text().strip()}" in told
    )
    public = call(*verify_it, "--seed", str(secret), "--board", board)
    assert "the seed is public since" in public.stderr
    lines = [json.loads(line) for line in (tmp_path / "board" / "ledger.jsonl").read_text().splitlines()]
    assert [line["action"] for line in lines] == ["committed", "revealed"]

"""`flowgauge run` and `score` as a user meets them: tables, exit codes, one line for every mistake."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flowgauge.benchmark.store.sums import sealed_json, without_seal
from flowgauge.cli import app
from flowgauge.cli.options import mapping_of
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.reproduction.report import PaperReport

from .conftest import PLUGINS, Invoke, one_line, pairs


def test_run_shows_a_table(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("--task", "sva/obj", "--limit", "8")
    assert result.exit_code == 0, result.output
    record = json.loads(next((tmp_path / "store").rglob("record.json")).read_text())
    (score,) = record["scores"].values()
    gold = score["aggregates"][0]
    value, low, high = (f"{gold[name]:.3f}" for name in ("value", "low", "high"))
    head, variants, row = (line.split() for line in result.stdout.splitlines())
    assert (head, variants) == ([score["metric"]], ["task", "method", "n", "gold"])
    assert row == ["sva/obj", "by-position", "8", value, f"[{low},", f"{high}]"]
    assert "1 cells" in result.stderr


def test_a_plan_file_with_flags(invoke: Invoke, tmp_path: Path, tiny_model: Path) -> None:
    plan = tmp_path / "plan.yaml"
    lines = [
        f"model: {tiny_model}",
        "tasks: [sva/obj, ra/na]",
        f"methods: '{PLUGINS}:by-position'",
        f"metrics: '{PLUGINS}:token-sum'",
    ]
    plan.write_text("\n".join([*lines, "limit: 8"]))
    words = ["--limit", "4", "--device", "cpu", "--store", str(tmp_path / "store"), "--quiet"]
    result = CliRunner().invoke(app, ["run", str(plan), *words])
    assert (result.exit_code, result.stdout) == (0, ""), result.output
    records = [json.loads(p.read_text()) for p in (tmp_path / "store").rglob("record.json")]
    assert sorted((r["task"], r["instances"]) for r in records) == [("ra/na", 4), ("sva/obj", 4)]


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (["--task", "sva/objj"], ("no task is called 'sva/objj'", "did you mean sva/obj")),
        (["--task", "sva/obj", "--method", "atention"], ("no method is called 'atention'", "attention")),
        (["--task", "sva/obj", "--metric", "ablated_acuracy"], ("no metric is called 'ablated_acuracy'", "ablated_accuracy")),
        (["--task", "sva/obj", "--method", "attention:residul=1"], ("'residul'", "residual")),
        (["--task", "sva/obj", "--limit", "0"], ("limit", "greater than 0")),
        (["--task", "sva/obj", "--dtype", "float8"], ("float8", "float32")),
        (["--task", "sva/obj", "--column", "good"], ("--column needs ours=theirs",)),
        (["--task", "sva/obj", "--split", "dev"], ("no split 'dev'",)),
        (["--task", "nothing.tsv"], ("no task file nothing.tsv",)),
        (["--task", "sva/obj", "--method", "nothing.py"], ("no file nothing.py",)),
        ([], ("name at least one --task",)),
        (["nothing.yaml"], ("cannot read the plan nothing.yaml",)),
    ],
)
def test_usage_errors(invoke: Invoke, words: list[str], texts: tuple[str, ...]) -> None:
    one_line(invoke(*words), 2, *texts)


def test_unknown_models(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    one_line(invoke("--task", "sva/obj", model="agreement-brt"), 2, "agreement-brt", "agreement-bert")
    one_line(invoke("--task", "sva/obj", model="./no/such/folder"), 2, "no model is called './no/such/folder'", "folder")


def test_bad_sentences(invoke: Invoke, tmp_path: Path) -> None:
    good = "the author [MASK] tall .\tis\tare"
    for name, row, texts in (
        ("gap", "the author is tall .\tis\tare", "[MASK]"),
        ("good", "the author [MASK] tall .\tzzz\tare", "'zzz'"),
        ("bad", "the author [MASK] tall .\tis\tzzz", "'zzz'"),
    ):
        path = pairs(tmp_path / f"{name}.tsv", good, row)
        result = invoke("--task", path)
        one_line(result, 2, texts)


def test_bad_files(invoke: Invoke, tmp_path: Path) -> None:
    empty, broken = tmp_path / "empty.tsv", tmp_path / "broken.jsonl"
    empty.write_text("")
    broken.write_text('{"sentence": "the author [MASK] tall .", "good": "is", "bad": "are"}\n{"sentence": \n')
    one_line(invoke("--task", str(empty)), 2, "empty.tsv")
    one_line(invoke("--task", str(broken)), 2, "broken.jsonl", "line 2")


def test_words_that_are_split_can_be_left_out(invoke: Invoke, tmp_path: Path) -> None:
    path = pairs(tmp_path / "pairs.tsv", "the author [MASK] tall .\tis\tare", "the author [MASK] tall .\tzzz\tare")
    result = invoke("--task", path, "--on-split", "skip", "--quiet")
    assert result.exit_code == 0, result.output
    record = json.loads(next((tmp_path / "store").rglob("record.json")).read_text())
    assert record["instances"] == 1 and len(record["skipped"]) == 1 and "zzz" in record["skipped"][0]


def test_columns_are_mapped(invoke: Invoke, tmp_path: Path) -> None:
    path = pairs(tmp_path / "pairs.tsv", "the author [MASK] tall .\tis\tare", head="text\tright\twrong")
    columns = [word for pair in ("sentence=text", "good=right", "bad=wrong") for word in ("--column", pair)]
    assert invoke("--task", path, *columns, "--quiet").exit_code == 0


@pytest.mark.parametrize(("method", "texts"), [("not-a-number", "1 of 11 values that are NaN"), ("too-long", "expected (11,)")])
def test_a_faulty_method_fails_alone(invoke: Invoke, tmp_path: Path, method: str, texts: str) -> None:
    result = invoke("--task", "sva/obj", "--limit", "8", "--method", f"{PLUGINS}:{method}", "--quiet")
    one_line(result, 1, f"sva/obj, {method}: failed", texts)
    status = {r["method"]: r["status"] for r in (json.loads(p.read_text()) for p in (tmp_path / "store").rglob("record.json"))}
    assert status == {"by-position": "done", method: "failed"}


def test_a_store_that_cannot_be_written(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    one_line(invoke("--task", "sva/obj", "--store", str(tmp_path / "file" / "x")), 2, "cannot write the store", "another folder")


def test_a_store_by_a_newer_flowgauge(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("--task", "sva/obj", "--limit", "4").exit_code == 0
    path = next((tmp_path / "store").rglob("record.json"))
    path.write_bytes(sealed_json(json.dumps({**without_seal(json.loads(path.read_text())), "schema_version": 99})))
    one_line(invoke("--task", "sva/obj", "--limit", "4"), 1, "schema 99", "install a newer flowgauge")


def test_score_adds_a_metric(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("--task", "sva/obj", "--limit", "4", "--quiet").exit_code == 0
    store = str(tmp_path / "store")
    result = CliRunner().invoke(app, ["score", store, "--metric", f"{PLUGINS}:token-sum:power=2", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    record = json.loads(next((tmp_path / "store").rglob("record.json")).read_text())
    assert sorted(s["settings"]["power"] for s in record["scores"].values()) == [1, 2]
    one_line(CliRunner().invoke(app, ["score", str(tmp_path / "none"), "--metric", f"{PLUGINS}:token-sum"]), 2, "no store at")


def test_score_without_a_metric_renews_intervals(tmp_path: Path) -> None:
    store = str(shutil.copytree(Path(__file__).resolve().parents[1] / "fixtures" / "store-1", tmp_path / "store"))
    done, again = (CliRunner().invoke(app, ["score", store]) for _ in range(2))
    assert done.stdout == "2 scores in 2 cells have today's intervals now, in the place of those of version 0.1\n"
    assert again.stdout == "every interval is today's already; name a --metric to score with one more\n"
    one_line(CliRunner().invoke(app, ["score", str(tmp_path / "none")]), 2, "no store at")


def test_an_unexpected_error_is_one_line(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("what")

    monkeypatch.setattr("flowgauge.benchmark.engine.run.run", fail)
    one_line(invoke("--task", "sva/obj"), 1, "there is no 'what' in a mapping", "--debug")
    assert isinstance(invoke("--task", "sva/obj", "--debug").exception, KeyError)


@pytest.mark.parametrize("text", ["good", "=good", "good=", ""])
def test_columns_and_conditions_need_both_sides(text: str) -> None:
    with pytest.raises(UsageError, match="--column needs ours=theirs, such as sentence=text, got"):
        mapping_of("--column", ["sentence=text", text])
    with pytest.raises(UsageError, match="--where needs column=value, such as condition=SP, got"):
        mapping_of("--where", [text])
    assert mapping_of("--column", ["sentence=a=b"]) == {"sentence": "a=b"} and mapping_of("--where", None) is None
    with pytest.raises(UsageError, match="--where is given 'part' twice: 'a' and 'b'; leave one out"):
        mapping_of("--where", ["part=a", "part=b"])


def test_rows_are_chosen_and_nothing_is_scored(invoke: Invoke, tmp_path: Path) -> None:
    rows = ("the author [MASK] tall .\tis\tare\tx", "the authors [MASK] tall .\tare\tis\ty")
    path = pairs(tmp_path / "pairs.tsv", *rows, head="text\tgood\tbad\tpart")
    result = invoke("--task", path, "--column", "sentence=text", "--where", "part=y", metric="none")
    assert result.exit_code == 0, result.output
    record = json.loads(next((tmp_path / "store").rglob("record.json")).read_text())
    assert (record["status"], record["instances"], record["scores"]) == ("done", 1, {})
    assert record["asked"]["task"] == {"name": path, "where": {"part": "y"}}
    assert result.stdout.split() == ["task", "method", "n", "file/pairs", "by-position", "1"]


def test_conditions_on_rows_are_for_files_only(invoke: Invoke) -> None:
    one_line(invoke("--task", "sva/obj", "--where", "condition=SP"), 2, "where (condition) are given, but no task is a file")


def test_a_pattern_of_paths_names_every_file_that_matches(invoke: Invoke, tmp_path: Path) -> None:
    for name in ("b.tsv", "a.tsv"):
        pairs(tmp_path / name, "the author [MASK] tall .\tis\tare")
    result = invoke("--task", str(tmp_path / "*.tsv"))
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.stdout.splitlines()[2:]] == ["file/a", "file/b"]
    one_line(invoke("--task", str(tmp_path / "*.csv")), 2, "no file or folder matches", "*.csv", "flowgauge reads .tsv")


def test_a_task_that_brings_its_model_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    """There the model's libraries are imported while it is built."""
    words = ["run", "--task", "planted/relay", "--method", "random", "--metric", "ground_truth", "--limit", "2"]
    code = "from flowgauge.cli import main; main()"
    command = [sys.executable, "-c", code, *words, "--store", str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "planted/relay" in done.stdout, done.stderr


def test_a_dry_run_shows_the_cells_and_writes_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    words = ["run", "--task", "sva/obj", "--method", "attention", "--metric", "pointing", "--limit", "4", "--store", str(store)]
    shown = CliRunner().invoke(app, [*words, "--dry-run"])
    assert shown.exit_code == 0 and not store.exists()
    assert "to explain" in shown.stdout and "1 cell in" in shown.stdout and "Estimated time of explaining:" in shown.stdout
    assert CliRunner().invoke(app, [*words, "--quiet"]).exit_code == 0
    again = CliRunner().invoke(app, [*words, "--dry-run"]).stdout
    assert "(1 stored)" in again and "Estimated" not in again


def reproduce(*words: str) -> Result:
    return CliRunner().invoke(app, ["reproduce", *words, "--device", "cpu"])


def test_a_papers_tables_are_printed_and_written(
    toy_report: PaperReport, toy_paper: Path, tiny_model: Path, tmp_path: Path
) -> None:
    words = ["--model", str(tiny_model), "--store", toy_report.reproduction.store, "--out", str(tmp_path)]
    result = reproduce(str(toy_paper), *words)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:2] == [toy_report.title, toy_report.summary()[0]]
    assert "Table 1: sufficiency" in lines and "Table 2: it has no numbers" in lines
    assert "not comparable: theirs counts commas (counted in another way, obj)" in lines
    endings = (".html", ".md", ".json", "-Table-1.png", "-Table-1.svg")
    assert lines[-len(endings) :] == [str(tmp_path / f"toy-paper{end}") for end in endings]
    assert reproduce(str(toy_paper), *words[:4], "--quiet").stdout == ""


def test_mistakes_about_a_paper_are_one_line(toy_paper: Path, tmp_path: Path) -> None:
    one_line(reproduce("influence-paterns"), 2, "no paper is called 'influence-paterns'", "influence-patterns")
    (tmp_path / "paper.toml").write_text("title = ")
    one_line(reproduce(str(tmp_path / "paper.toml")), 2, "is not TOML")
    one_line(reproduce(str(toy_paper), "--model", "./none", "--store", str(tmp_path / "s")), 2, "./none")
    one_line(reproduce(str(toy_paper), "--limit", "0"), 2, "--limit")

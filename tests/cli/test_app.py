"""All commands together: quick help, the version, and names that were used before."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import typer
from typer.testing import CliRunner

from flowgauge.cli import app, main
from flowgauge.cli.app import leaderboard


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["run", "--help"],
        ["info", "lime"],
        ["list", "--json"],
        ["list", "models"],
        ["list", "tasks"],
        ["list", "methods"],
        ["list", "metrics"],
    ],
)
def test_help_and_lists_import_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom flowgauge.cli import app\nsys.argv[1:] = "
        + repr(words)
        + "\ntry:\n    app()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'transformers', 'datasets', 'captum', 'matplotlib'} & set(sys.modules)\nassert not heavy, heavy"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - started < 10  # a second on an idle machine; loaded ones are slower


@pytest.mark.parametrize("words", [["run"], ["plot"], ["train"]])
def test_help_says_what_is_done_without_an_option(words: list[str]) -> None:
    shown = " ".join(CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "250"}).stdout.split())
    expected = {"run": ("[default: (results)]", "(auto, the GPU if there is one)"), "plot": ("[default: (all)]",)}
    assert all(text in shown for text in expected.get(words[0], ("[default: (all)]", "$FLOWGAUGE_DATA, else the Hub")))


@pytest.mark.parametrize("start", [["-m", "flowgauge"], ["-c", "from flowgauge.cli import main; main()"]])
def test_the_version_is_printed_without_heavy_imports(start: list[str]) -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", *start, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, ["flowgauge", "0.1.0"])
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {"torch", "transformers", "numpy"} & loaded


def test_former_names_work_and_are_hidden() -> None:
    former = {command.name: command for command in leaderboard.registered_commands if command.hidden}
    assert list(former) == ["leave", "exchange"]
    shown = CliRunner().invoke(app, ["leaderboard", "--help"], env={"COLUMNS": "200"}).stdout
    assert "withdraw" in shown and not [name for name in former if f" {name} " in shown]
    for name, option in (("leave", "--cell"), ("exchange", "--dataset")):
        assert option in CliRunner().invoke(app, ["leaderboard", name, "--help"], env={"COLUMNS": "200"}).stdout


def test_every_command_has_debug_and_a_line_of_help_for_each_parameter() -> None:
    group = typer.main.get_command(app)
    of_boards = group.commands["leaderboard"].commands  # type: ignore[attr-defined]
    commands = [*group.commands.items(), *of_boards.items()]  # type: ignore[attr-defined]
    assert len(commands) == 35
    for name, command in commands:
        if name == "leaderboard":
            continue
        parameters = {parameter.name: parameter for parameter in command.params}
        assert "debug" in parameters, name
        assert all(parameter.help for parameter in parameters.values()), name


def test_the_commands_are_run_by_main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["flowgauge", "list", "models"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0 and "agreement-bert" in capsys.readouterr().out

"""The facts of plug-ins: complete for all built-in ones, and as far as known for those of users."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flowgauge.benchmark.catalogue.facts import GROUPS, KINDS, OUTSIDE_GROUP, all_facts, facts, find
from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS

MINE = '''
import flowgauge


@flowgauge.method("mine", gives="tokens", needs="transformer", source="Doe 2020.", misleads="On long texts.")
def mine(model, batch, strength: float = 0.5):
    """Scores every word alike.

    Nothing is computed.

    Args:
        strength: The score.
    """


@flowgauge.metric("ours", reads="tokens", higher_is_better=True, unit="words", bounds=(0, None))
def ours(model, explained, reference):
    """Counts words."""
'''


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    return file


@pytest.mark.parametrize("registry", [METHODS, METRICS], ids=lambda registry: registry.kind)
def test_every_builtin_method_and_metric_says_when_it_misleads(registry) -> None:
    for name in registry.builtin:
        text = facts(registry.kind, name).misleads
        assert text.endswith(".") and 80 < len(text) < 500, f"{registry.kind} {name}: add misleads= to its decorator"
        assert text == registry.factory(name).misleads


@pytest.mark.parametrize("kind", KINDS)
def test_everything_builtin_has_all_facts(kind) -> None:
    known = all_facts(kind)
    assert {entry.group for entry in known} <= set(GROUPS.values())
    for entry in known:
        stored = json.loads(json.dumps(entry.to_json()))
        assert stored["summary"] and (stored["source"] or kind == "model"), entry.name
        assert (stored["cost"] is not None) == (kind == "method")
        assert all(setting["text"] for setting in stored["settings"])
    needed = {"method": "gives", "metric": "reads", "task": "head"}.get(kind)
    assert needed is None or all(entry.declared[needed] for entry in known)


def test_facts_are_those_of_the_declaration() -> None:
    flow = facts("method", "conductance")
    assert (flow.group, flow.declared["gives"]) == ("Gradients and relevance", {"tokens", "nodes", "flows"})
    stored = flow.to_json()
    assert stored["gives"] == ["flows", "nodes", "tokens"] and stored["source"].startswith("Dhamdhere et al. 2018")
    assert stored["settings"][1] == {"name": "samples", "default": 50, "text": "Number of nodes of the rule."}
    divergence = facts("metric", "ground_truth_divergence").to_json()
    assert divergence["bounds"] == pytest.approx([0, 0.6931471805599453]) and divergence["higher_is_better"] is False
    toy = facts("task", "toy/counting").to_json()
    assert (toy["model"], toy["classes"], toy["explains"]) == ("toy-counting", ["no", "yes"], "logit_difference")
    embedded = facts("model", "agreement-bert")
    assert embedded.declared["layers"] == 6 and embedded.docs.paragraphs[0].startswith("A small masked language model")
    decoder = facts("model", "agreement-gpt2")
    assert decoder.declared == {"family": "gpt2", "layers": 6, "heads": 8, "width": 128, "positions": 32, "vocabulary": 239}
    assert decoder.docs.paragraphs[0].startswith("A small causal language model")


def test_a_file_of_a_user_has_the_facts_that_it_declares(mine: Path) -> None:
    method, metric = find(str(mine))
    assert (method.kind, method.name, method.group, method.cost) == ("method", "mine", OUTSIDE_GROUP, None)
    assert (method.source, method.misleads) == ("Doe 2020", "On long texts.")
    assert method.docs.paragraphs == ("Nothing is computed.",)
    assert method.to_json()["settings"] == [{"name": "strength", "default": 0.5, "text": "The score."}]
    assert method.declared["needs"] == {"transformer"} and metric.declared["bounds"] == (0, None)
    assert [entry.name for entry in find(f"{mine}:ours")] == ["ours"] and metric.misleads == ""


def test_a_name_may_have_settings_and_an_unknown_one_is_refused_with_near_ones(mine: Path) -> None:
    assert [entry.name for entry in find("lime:samples=4")] == ["lime"]
    with pytest.raises(UnknownName, match=r"conductanc.*conductance"):
        find("conductanc")
    with pytest.raises(UnknownName, match="mine"):
        find(f"{mine}:mone")
    with pytest.raises(UsageError, match="there is no file"):
        find("nowhere.py")


def test_facts_of_everything_builtin_import_no_torch() -> None:
    code = (
        "import sys\nfrom flowgauge.benchmark.catalogue.facts import KINDS, all_facts\n"
        "print([len(all_facts(kind)) > 3 for kind in KINDS], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert (done.stdout, done.stderr) == ("[True, True, True, True] False\n", "")

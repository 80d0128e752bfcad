"""The folder of explanations computed elsewhere: what is read and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from safetensors import numpy as safetensors

import flowgauge
from flowgauge.benchmark.external.folder_format import TENSORS, read_explanations, write_explanations
from flowgauge.core.errors import UsageError

MADE = {"method": "captum-lig", "producer": "captum", "producer_version": "0.9", "task": "sva/obj", "limit": 8}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"method": "Attention_Flow"}, r"taken by a method that flowgauge runs itself \(attention-flow\)"),
        ({"method": "my method"}, "cannot be called"),
        ({"method": "attentiоn"}, "letters without accents"),
        ({"producer": ""}, "producer: String should have at least 1 character"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"settings": {"x": float("nan")}}, "settings.*finite"),
        ({"schema_version": 9}, "schema 9, this flowgauge reads up to 1"),
    ],
)
def test_manifests_that_are_not_in_order_are_refused(tmp_path, change, why):
    with pytest.raises(UsageError, match=why):
        flowgauge.write_explanations(tmp_path / "handed", {"a": [1.0]}, **{**MADE, **change})
    assert not (tmp_path / "handed").exists()


def test_a_folder_written_by_hand_is_read(tmp_path):
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump({**MADE, "settings": {"steps": 4}}))
    (tmp_path / TENSORS).write_bytes(safetensors.save({"a/b/tokens": np.float32([1, 2])}))
    handed = read_explanations(tmp_path)
    assert handed.manifest.settings == {"steps": 4} and handed.manifest.name == "outside.captum-lig"
    assert handed.explanation("a/b").tokens.tolist() == [1, 2] and handed.explanation("a") is None
    (tmp_path / "manifest.yaml").write_text("method: a\nmethod: b\n")
    with pytest.raises(UsageError, match="'method' stands twice"):
        read_explanations(tmp_path)
    (tmp_path / "manifest.yaml").write_text("!!python/object/apply:os.getcwd []")
    with pytest.raises(UsageError, match="not YAML that can be read"):
        read_explanations(tmp_path)
    (tmp_path / TENSORS).write_bytes(b"\x80\x04pickle")
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(MADE))
    with pytest.raises(UsageError, match=r"explanations\.safetensors cannot be read"):
        read_explanations(tmp_path)
    (tmp_path / TENSORS).write_bytes(safetensors.save({"a/b/patterns": np.float32([1, 2])}))
    with pytest.raises(UsageError, match="expected <instance id>/<view>, with a view of tokens"):
        read_explanations(tmp_path)
    with pytest.raises(UsageError, match=r"needs explanations\.safetensors and manifest\.json"):
        read_explanations(tmp_path / "nowhere")


YAML = "method: mine\nproducer: p\nproducer_version: '1'\ntask: sva/obj\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (YAML + "settings: {a: &a [x], b: *a}\n", "an alias"),
        (YAML + "settings: &a {a: *a}\n", "an alias"),
        (YAML + "? [a]\n: b\n", "is no key"),
        ('{"method": "a", "method": "b"}', "'method' stands twice"),
    ],
)
def test_manifests_that_hide_something_are_refused(tmp_path, text, why):
    write_explanations(tmp_path, {"a": [1.0]}, method="mine", producer="p", producer_version="1", task="sva/obj")
    (tmp_path / "manifest.json").unlink()
    (tmp_path / ("manifest.json" if text.startswith("{") else "manifest.yaml")).write_text(text)
    with pytest.raises(UsageError, match=why):
        read_explanations(tmp_path)


def test_a_name_has_the_mark_once_and_numbers_are_real(tmp_path):
    said = {"producer": "p", "producer_version": "1", "task": "sva/obj"}
    with pytest.raises(UsageError, match=r"leave 'outside\.' out"):
        write_explanations(tmp_path, {"a": [1.0]}, method="outside.attention", **said)
    write_explanations(tmp_path, {"a": [1.0]}, method="mine", **said)
    (tmp_path / "explanations.safetensors").write_bytes(safetensors.save({"a/tokens": np.array([1j], np.complex64)}))
    with pytest.raises(UsageError, match="are complex"):
        read_explanations(tmp_path).explanation("a")


@pytest.mark.parametrize("scores", [[1j, 2.0], np.array([1 + 1j]), torch.tensor([1j])])
def test_complex_scores_are_not_cut_to_their_real_part(tmp_path, scores):
    with pytest.raises(UsageError, match="the view 'tokens' of an instance has complex numbers; scores are real"):
        write_explanations(tmp_path, {"a": scores}, method="my-lrp", producer="me", producer_version="1", task="sva/obj")

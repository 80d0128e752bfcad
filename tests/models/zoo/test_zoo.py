"""The embedded models: their folders hold a checkpoint of at most 5 MB each, and other names are refused."""

from __future__ import annotations

import pytest

from flowgauge.core.errors import UnknownName
from flowgauge.models.zoo import SUMMARIES, ZOO, zoo_path

FILES = {"README.md", "config.json", "model.safetensors", "recipe.json", "tokenizer.json", "tokenizer_config.json"}


def test_the_zoo_names_two_encoders_and_a_decoder() -> None:
    assert list(ZOO) == list(SUMMARIES) == ["agreement-bert", "agreement-bert-plain", "agreement-gpt2", "agreement-gpt2-plain"]
    for name, folder in ZOO.items():
        assert zoo_path(name) == folder and folder.name == name


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("agreement-bert", set()),
        ("agreement-bert-plain", set()),
        ("agreement-gpt2", {"generation_config.json"}),
        ("agreement-gpt2-plain", {"generation_config.json"}),
    ],
)
def test_each_folder_holds_a_checkpoint_of_at_most_five_megabytes(name: str, more: set[str]) -> None:
    folder = ZOO[name]
    assert {path.name for path in folder.iterdir()} == FILES | more
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 5_000_000


def test_another_name_is_refused() -> None:
    with pytest.raises(UnknownName, match="no embedded model is called 'agreement-brt': did you mean agreement-bert"):
        zoo_path("agreement-brt")

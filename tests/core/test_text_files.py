"""Plans and manifests are regular files of bounded size, and YAML without aliases and repeated keys."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.core.text_files import LARGEST, RepeatedKey, parse_json, parse_yaml, read_text

NESTED = [f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n" for before, after in pairwise("abcdefghi")]
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(NESTED)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "line 2: not YAML that can be read: an alias (*name): write it out."),
        ("tasks: a\nlimit: 1\ntasks: b\n", "line 3: not YAML that can be read: 'tasks' stands twice."),
        ("limit: " + "9" * 5000, "not YAML that can be read: Exceeds the limit"),
        ("tasks: " + "[" * 5000, "brackets within brackets, too deep to be read."),
        ("[a]: 1\n? {b: 1}\n: 2", "a list or a mapping is no key."),
        ("tasks: !!python/object:os.system {}", "could not determine a constructor for the tag"),
        ("a: *" + "x" * 10**5, "an alias (*name): write it out"),
    ],
)
def test_yaml_that_hides_something_is_refused_in_a_few_words(text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_yaml(text, "the plan")
    assert said in str(refused.value) and len(str(refused.value)) < 700


def test_json_with_a_key_twice_is_refused_in_a_few_words() -> None:
    key = "k" * 1000
    with pytest.raises(RepeatedKey, match=r"the key 'k{97,99}[.]{3} stands twice") as refused:
        parse_json(f'{{"a": [{{"{key}": 1, "b": 2, "{key}": 3}}]}}')
    assert len(str(refused.value)) < 150


def test_only_small_text_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("\ufefftasks: é\n", encoding="utf-8")
    assert read_text(path, "plan") == "tasks: é\n"
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "large.yaml").write_bytes(b" " * (LARGEST + 1))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for name, said in (
        ("pipe.yaml", "is no file"),
        (".", "is no file"),
        ("large.yaml", "has more than 1 MiB"),
        ("binary.yaml", "is not a text file in UTF-8"),
        ("none.yaml", "No such file"),
    ):
        with pytest.raises(UsageError, match=said):
            read_text(tmp_path / name, "plan")

"""Reading a store never imports torch."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import importlib, pkgutil, sys
import flowgauge.leaderboards as home
found = [m.name for m in pkgutil.walk_packages(home.__path__, home.__name__ + '.')]
for name in found:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != "altair":  # of the extra `site`
            raise
heavy = sorted({'torch', 'transformers', 'captum', 'matplotlib.pyplot'} & set(sys.modules))
print(len(found) >= 12, heavy)
"""


def test_no_module_of_leaderboards_imports_torch_or_pyplot():
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    assert done.stdout.split("\n")[0] == "True []"

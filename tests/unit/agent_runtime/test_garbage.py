from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import gc
from agent_runtime import garbage
garbage.settle()
print(gc.get_freeze_count() > 1000, gc.get_threshold()[0] > 700, gc.isenabled())
"""


def test_what_is_loaded_is_left_out_and_later_garbage_is_not():
    # In a process of its own: the tests' process keeps its settings.
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert done.stdout.split() == ["True", "True", "True"]

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import agent_runtime.bytecode

SOURCE = '''"""Of the module."""
from __future__ import annotations

class Thing:
    """Of the class, which has nothing else."""

def double(x):
    """Of the function."""
    def inner():
        "Of the inner one."
        return x
    assert inner() == x
    return "text" + x

if True:
    def only():
        """All there is."""
'''
SHOW = """
import lib
print([lib.__doc__, lib.Thing.__doc__, lib.double.__doc__, lib.only.__doc__, lib.double("a")])
try:
    lib.double(float("nan"))
except AssertionError:
    print("asserts")
"""


def test_bytecode_has_no_docstrings_and_all_else(tmp_path):
    (tmp_path / "lib").mkdir()
    module = tmp_path / "lib" / "__init__.py"
    module.write_text(SOURCE)
    (tmp_path / "lib" / "template.py").write_text("{{ name }} = ")
    program = Path(agent_runtime.bytecode.__file__)
    subprocess.run([sys.executable, str(program), str(tmp_path)], check=True)
    found = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert found == ["[None, None, None, None, 'texta']", "asserts"]

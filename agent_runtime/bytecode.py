"""Compiles the libraries of the image, without docstrings: `python -X no_debug_ranges bytecode.py FOLDER`.

The docstrings of LangChain, pydantic and others take 4 MiB of a pod's memory. `python -OO` would drop assertions as
well, and the docstrings of graphs that users bring, which LangChain reads where they define tools. The option leaves
out the columns within lines, half a MiB, which no log tells; the code of users keeps them.
"""

from __future__ import annotations

import ast
import importlib.util
import marshal
import sys
import warnings
from pathlib import Path

_UNCHECKED_HASH = (1).to_bytes(4, "little")
"""Flags of a file that is valid whatever became of its source, see PEP 552."""
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def write(source: Path) -> None:
    """Writes the bytecode of a module to where Python looks for it; skips a file that is no valid Python."""
    text = source.read_bytes()
    try:
        tree = ast.parse(text, str(source))
        _strip(tree)
        code = compile(tree, str(source), "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return  # packages carry templates
    target = Path(importlib.util.cache_from_source(str(source)))
    target.parent.mkdir(exist_ok=True)
    head = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(text)
    target.write_bytes(head + marshal.dumps(code))


def _strip(tree: ast.Module) -> None:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _strip_one(node)
        for name in _BLOCKS:
            block = getattr(node, name, ())
            waiting += block if isinstance(block, list) else ()


def _strip_one(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    if ast.get_docstring(node, clean=False) is None:
        return
    first = node.body.pop(0)
    if not node.body:
        node.body.append(ast.copy_location(ast.Pass(), first))


def main() -> None:
    """Compiles all modules below a folder."""
    warnings.simplefilter("ignore")  # invalid escapes, which are the packages' own business
    for source in sorted(Path(sys.argv[1]).rglob("*.py")):
        write(source)


if __name__ == "__main__":
    main()

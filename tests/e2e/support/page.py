"""A page of the documentation, run as it stands."""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cluster.settings import REPOSITORY
from e2e.support.space import Space

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """A page under docs/, whose words can be replaced by those of a test."""

    name: str
    words: tuple[tuple[str, str], ...]

    def blocks(self, section: str) -> list[tuple[str, str]]:
        """Language and text of the fenced blocks below a heading, in order.

        Raises:
            LookupError: the page has no such heading, or nothing to run below it.
        """
        text = (REPOSITORY / "docs" / self.name).read_text()
        _, found, rest = text.partition(f"\n## {section}\n")
        blocks = _BLOCK.findall(rest.partition("\n## ")[0])
        if not found or not blocks:
            raise LookupError(f"docs/{self.name} has nothing to run under {section!r}")
        return [(language, self._worded(block)) for language, block in blocks]

    def run(self, section: str, space: Space, *, first: int = 0, last: int | None = None, **env: str) -> None:
        """Run the blocks of a section in a namespace, in order: manifests are applied, the others executed."""
        with tempfile.TemporaryDirectory() as folder:
            context = Path(folder) / "kubeconfig"
            context.write_bytes(Path(space.cluster.cluster.kubeconfig).read_bytes())
            inside = {**os.environ, "KUBECONFIG": str(context), **env}
            _execute(["kubectl", "config", "set-context", "--current", f"--namespace={space.name}"], inside)
            for language, block in self.blocks(section)[first:last]:
                _execute(_COMMANDS[language], inside, block)

    def _worded(self, text: str) -> str:
        for old, new in self.words:
            text = text.replace(old, new)
        return text


_COMMANDS = {
    "yaml": ["kubectl", "apply", "-f", "-"],
    "sh": ["bash", "-eu"],
    "python": [sys.executable, "-"],
}


def _execute(command: list[str], env: dict[str, str], stdin: str = "") -> None:
    done = subprocess.run(command, input=stdin, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} with\n{stdin}\nsaid: {done.stdout}{done.stderr}"

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from apm_operator.api import files
from apm_operator.api.crd import KINDS

ROOT = Path(__file__).parents[4]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    # The package runs as a user starts it; the paths are those that pytest has set.
    code = f"import runpy, sys; sys.path[:0] = {sys.path!r}; runpy.run_module('apm_operator.api', run_name='__main__')"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_the_files_are_in_step_with_the_models():
    assert files.stale(ROOT) == []


def test_check_names_what_is_out_of_step(tmp_path: Path):
    assert run(f"--root={tmp_path}").returncode == 0
    assert run(f"--root={tmp_path}", "--check").returncode == 0
    stale = files.plain(KINDS[0])
    (tmp_path / stale).write_text("other\n")
    answer = run(f"--root={tmp_path}", "--check")
    assert answer.returncode == 1
    assert answer.stderr == f"out of step with the models: {stale}; run `python -m apm_operator.api`\n"


def test_the_chart_keeps_examples_of_holes_as_text():
    text = files.generated()[files.CHART / files.plain(KINDS[0]).name]
    assert "`{{ ... }}`" not in text
    assert '`{{ "{{" }} ... }}`' in text

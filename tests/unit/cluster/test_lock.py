import os
import subprocess
import sys
from pathlib import Path

from cluster.lock import exclusive, exclusive_if_free

_TRY = """
import sys
from pathlib import Path
from cluster.lock import exclusive_if_free
with exclusive_if_free(Path(sys.argv[1])) as held:
    print(held)
"""


def test_a_lock_that_another_process_holds_is_passed_over(tmp_path: Path):
    path = tmp_path / "lock"

    def other() -> str:
        command = [sys.executable, "-c", _TRY, str(path)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    with exclusive(path):
        assert other() == "False"
    with exclusive_if_free(path) as held:
        assert held
        assert other() == "False"
    assert other() == "True"

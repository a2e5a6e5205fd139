"""Run every benchmark, one after the other, with their default sizes."""

from __future__ import annotations

import subprocess
import sys

SCRIPTS = ("runtime", "checkpoints", "compare", "knowledge", "reconcile", "anomalies", "ready", "backup")


def main() -> int:
    """The number of benchmarks that could not run."""
    failed = 0
    for script in SCRIPTS:
        print(f"# {script}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"bench.{script}"], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())

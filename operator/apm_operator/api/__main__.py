"""Writes the CRD files, or checks that they are in step with the models."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from apm_operator.api import files


def main() -> str | None:
    """Run the command line; returns what is wrong, if anything."""
    parser = argparse.ArgumentParser(prog="python -m apm_operator.api", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is out of step")
    parser.add_argument("--root", type=Path, default=Path(), help="folder of the repository (default: here)")
    options = parser.parse_args()
    if not options.check:
        files.write(options.root)
        return None
    stale = ", ".join(str(path) for path in files.stale(options.root))
    return f"out of step with the models: {stale}; run `python -m apm_operator.api`" if stale else None


if __name__ == "__main__":
    sys.exit(main())

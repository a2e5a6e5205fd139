"""`python -m deploy.dashboard` writes the dashboard into the chart; with `--check` sees that it is in step."""

import sys
from pathlib import Path

from deploy.dashboard.build import text

TARGET = Path(__file__).resolve().parents[2] / "charts" / "apm-operator" / "files" / "apm-dashboard.json"


def main() -> None:
    """Write the file, or compare it with what is there."""
    wanted = text()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(wanted)
    elif not TARGET.exists() or TARGET.read_text() != wanted:
        sys.exit("error: files/apm-dashboard.json of the chart is out of step: run `make generate`")


if __name__ == "__main__":
    main()

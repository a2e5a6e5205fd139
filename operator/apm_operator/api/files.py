"""The CRDs as files: for `kubectl apply`, and inside the Helm chart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from apm_operator.api import group
from apm_operator.api.crd import KINDS, Kind, crd

PLAIN = Path("crds")
CHART = Path("charts/apm-operator/templates/crds")
_HEADER = "# Generated from operator/apm_operator/api by `python -m apm_operator.api`; change it there.\n"
_KEEP = """\
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def generated() -> Mapping[Path, str]:
    """The text of each generated file, by its path in the repository."""
    written: dict[Path, str] = {}
    for kind in KINDS:
        text = yaml.safe_dump(crd(kind), sort_keys=False, allow_unicode=True, width=110)
        written[plain(kind)] = _HEADER + text
        written[CHART / plain(kind).name] = _HEADER + _chart_template(text)
    return written


def plain(kind: Kind) -> Path:
    """The file of a kind for `kubectl apply`."""
    return PLAIN / f"{group.GROUP}_{kind.plural}.yaml"


def stale(root: Path) -> list[Path]:
    """The generated files that do not say what the models say.

    Args:
        root: The repository's folder.
    """
    return [
        path for path, text in generated().items() if not (root / path).is_file() or (root / path).read_text() != text
    ]


def write(root: Path) -> None:
    """Write all generated files below the repository's folder."""
    for path, text in generated().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def _chart_template(text: str) -> str:
    # Descriptions hold `{{ ... }}` as an example, which Helm would take for its own.
    escaped = text.replace("{{", '{{ "{{" }}')
    metadata, rest = escaped.split("spec:\n", 1)
    return f"{{{{- if .Values.crds.enabled }}}}\n{metadata}{_KEEP}spec:\n{rest}{{{{- end }}}}\n"

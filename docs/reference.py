"""Writes the reference pages from the CRDs: `python docs/reference.py`, or `--check` to see that they are in step."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CRDS = ROOT / "crds"
DOCS = ROOT / "docs"
SUB_WORKFLOW = "spec.workflows[]"
"""Has the fields of spec.workflow, which need not be told twice."""
AGENTS = """\
# AgentDeployment, field by field

Generated from the CRD by docs/reference.py; `kubectl explain agentdeployment.spec` says the same in a terminal.
[write-an-agent.md](write-an-agent.md) shows the fields at work.
"""
BACKUPS = """\
# BackupPolicy, Backup and Restore, field by field

Generated from the CRDs by docs/reference.py; `kubectl explain backuppolicy.spec` says the same in a terminal.
[backups.md](backups.md) and [recovery.md](recovery.md) show the fields at work.
"""
REPORTS = """\
# AgentReport, field by field

Generated from the CRD by docs/reference.py; `kubectl explain agentreport.spec` says the same in a terminal.
[reports.md](reports.md) shows the fields at work.
"""
PAGES: Mapping[Path, tuple[str, tuple[str, ...]]] = {
    DOCS / "reference.md": (AGENTS, ("agentdeployments",)),
    DOCS / "reference-backups.md": (BACKUPS, ("backuppolicies", "backups", "restores")),
    DOCS / "reference-reports.md": (REPORTS, ("agentreports",)),
}
"""By file: how the page begins, and the plural names of the kinds on it."""

Schema = dict[str, Any]


def page(target: Path) -> str:
    """A page's whole text."""
    head, plurals = PAGES[target]
    several = len(plurals) > 1
    told: dict[str, str] = {}
    parts = []
    for plural in plurals:
        crd = yaml.safe_load((CRDS / f"apm.valeo-neuroerp.com_{plural}.yaml").read_text())["spec"]
        schema = crd["versions"][0]["schema"]["openAPIV3Schema"]
        prefix = f"{crd['names']['kind']}: " if several else ""
        for name in ("spec", "status"):
            parts += _sections(prefix, name, schema["properties"][name], told)
    return head + "".join(f"\n{part}" for part in parts)


def _sections(prefix: str, path: str, schema: Schema, told: dict[str, str]) -> Iterator[str]:
    """One section for the object at `path`, then one for each object below it; `told` has those of before."""
    title = f"## {prefix}`{path}`"
    if path == SUB_WORKFLOW:
        yield f"{title}\n\nA name, `{path}.name`, and the fields of `spec.workflow`.\n"
        return
    content = yaml.safe_dump({key: value for key, value in schema.items() if key not in {"description", "default"}})
    if content in told:
        yield f"{title}\n\nThe fields of {told[content]}.\n"
        return
    told[content] = f"{prefix}`{path}`"
    yield "\n".join([title, "", *_table(schema)]) + "\n"
    for name, field in schema.get("properties", {}).items():
        suffix, child = _object_in(field)
        if child.get("properties"):
            yield from _sections(prefix, f"{path}.{name}{suffix}", child, told)


def _table(schema: Schema) -> Iterator[str]:
    required = schema.get("required", ())
    if text := _text(schema):
        yield text
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"- Rule: {rule['message']}"
    yield from ("", "| field | type | default | meaning |", "| --- | --- | --- | --- |")
    for name, field in schema.get("properties", {}).items():
        default = _default(field) if name not in required else "required"
        yield f"| `{name}` | {_type(field)} | {default} | {_text(field)} |"


def _object_in(field: Schema) -> tuple[str, Schema]:
    if "items" in field:
        return "[]", field["items"]
    additional = field.get("additionalProperties")
    return (".*", additional) if isinstance(additional, dict) else ("", field)


def _type(field: Schema) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if "items" in field:
        return f"list of {_type(field['items'])}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"map to {_type(field['additionalProperties'])}"
    return str(field.get("type", "any"))


def _default(field: Schema) -> str:
    if "default" not in field or field["default"] in ({}, []):
        return ""
    text = yaml.safe_dump(field["default"], default_flow_style=True, width=1000)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def _text(field: Schema) -> str:
    return " ".join(str(field.get("description", "")).split()).replace("|", "\\|")


def main() -> None:
    """Write the pages, or compare them with what is there."""
    for target in PAGES:
        wanted = page(target)
        if "--check" not in sys.argv[1:]:
            target.write_text(wanted)
        elif not target.exists() or target.read_text() != wanted:
            sys.exit(f"error: docs/{target.name} is out of step with the CRDs: run `make generate`")


if __name__ == "__main__":
    main()

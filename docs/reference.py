"""Writes docs/reference.md from the CRD: `python docs/reference.py`, or `--check` to see that it is in step."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CRD = ROOT / "crds" / "apm.valeo-neuroerp.com_agentdeployments.yaml"
TARGET = ROOT / "docs" / "reference.md"
SUB_WORKFLOW = "spec.workflows[]"
"""Has the fields of spec.workflow, which need not be told twice."""
HEAD = """\
# AgentDeployment, field by field

Generated from the CRD by docs/reference.py; `kubectl explain agentdeployment.spec` says the same in a terminal.
[write-an-agent.md](write-an-agent.md) shows the fields at work.
"""

Schema = dict[str, Any]


def page() -> str:
    """The page's whole text."""
    version = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]
    fields = version["schema"]["openAPIV3Schema"]["properties"]
    sections = [part for name in ("spec", "status") for part in _sections(name, fields[name])]
    return HEAD + "".join(f"\n{section}" for section in sections)


def _sections(path: str, schema: Schema) -> Iterator[str]:
    """One section for the object at `path`, then one for each object below it."""
    properties = schema.get("properties", {})
    if path == SUB_WORKFLOW:
        yield f"## `{path}`\n\nA name, `{path}.name`, and the fields of `spec.workflow`.\n"
        return
    required = schema.get("required", ())
    lines = [f"## `{path}`", "", *([_text(schema)] if _text(schema) else [])]
    lines += [f"- Rule: {rule['message']}" for rule in schema.get("x-kubernetes-validations", ())]
    lines += ["", "| field | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in properties.items():
        default = _default(field) if name not in required else "required"
        lines.append(f"| `{name}` | {_type(field)} | {default} | {_text(field)} |")
    yield "\n".join(lines) + "\n"
    for name, field in properties.items():
        suffix, child = _object_in(field)
        if child.get("properties"):
            yield from _sections(f"{path}.{name}{suffix}", child)


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
    """Write the page, or compare it with what is there."""
    wanted = page()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(wanted)
    elif not TARGET.exists() or TARGET.read_text() != wanted:
        sys.exit("error: docs/reference.md is out of step with the CRD: run `make generate`")


if __name__ == "__main__":
    main()

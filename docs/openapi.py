"""Writes integrations.openapi.json, what the services behind integrations offer, from the models of the clients.

`python docs/openapi.py`, or `--check` to see that it is in step.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from agent_runtime.integrations.catalogue import CATALOGUE
from agent_runtime.integrations.operation import Operation, plain_schema
from agent_runtime.spec.integrations import VARIABLES

TARGET = Path(__file__).parent / "integrations.openapi.json"
PREFIXES = {"communications": "communications", "bookings": "integrations", "knowledgeBase": "knowledge", "crm": "crm"}
"""Where each integration lies under the server's address; its address is configured by itself, so this is free."""
SUMMARY = """\
What a service offers that agents use as an integration. Each of the four is configured by itself: one service may offer
one of them or all, under any address. Agents send no field that is not described here, leave out what is not set, and
never follow redirects. A call that changes something has an `Idempotency-Key`: the service does what has the same key
once, and answers the repeated call as it did the first one, since agents repeat calls whose answer did not come. Busy
services answer 429 or 503 with `Retry-After`."""
ERRORS = {
    "400": "The request does not fit this description; it is not repeated.",
    "401": "The key is missing or wrong; the call is not repeated.",
    "403": "The key does not allow this; the call is not repeated.",
    "404": "What the path names is not there; the call is not repeated.",
    "409": "The `Idempotency-Key` was used with another request; the call is not repeated.",
    "429": "Too many calls; repeated after `Retry-After`, with backoff without it.",
    "500": "The service failed; repeated with backoff.",
    "503": "The service is busy or down; repeated after `Retry-After`, with backoff without it.",
}
BUSY = {"429", "503"}
REF = "#/components/schemas/{model}"


def describe() -> dict[str, Any]:
    """The whole description."""
    operations = [operation for each in CATALOGUE.values() for operation in each]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Integrations of agents", "version": "1.0.0", "description": SUMMARY},
        "servers": [{"url": "http://localhost:8000/api/v1"}],
        "security": [{"key": []}, {}],
        "tags": [
            {"name": name, "description": f"Configured by `integrations.{name}`, or {url} and {key}."}
            for name, (url, key) in VARIABLES.items()
        ],
        "paths": {
            f"/{PREFIXES[each.integration]}{each.path}": {each.method.lower(): _operation(each)} for each in operations
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "responses": {status: _error(status, text) for status, text in ERRORS.items()},
            "schemas": _schemas(operations),
        },
    }


def _operation(operation: Operation[Any]) -> dict[str, Any]:
    fields = operation.parameters()["properties"]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _without_default(fields[name])}
        for name in operation.in_path
    ]
    if operation.changes:
        schema = {"type": "string", "minLength": 1, "maxLength": 512}
        parameters.append({"name": "Idempotency-Key", "in": "header", "required": True, "schema": schema})
    return {
        "operationId": operation.name,
        "tags": [operation.integration],
        "summary": operation.description,
        "parameters": parameters,
        "requestBody": {"required": True, "content": _json(operation.arguments.__name__)},
        "responses": {
            "200": {"description": "Done, or as good as.", "content": _json(operation.answer.__name__)},
            **{status: {"$ref": f"#/components/responses/{status}"} for status in ERRORS},
        },
    }


def _schemas(operations: list[Operation[Any]]) -> dict[str, Any]:
    asked = {each.arguments.__name__: each for each in operations}
    models = [(each.arguments, "validation") for each in operations] + [
        (each.answer, "validation") for each in operations
    ]
    _, defined = models_json_schema(list(dict.fromkeys(models)), ref_template=REF)
    schemas: dict[str, Any] = {}
    for name, schema in plain_schema(defined["$defs"]).items():
        schema.pop("title", None)
        if name in asked:
            for hidden in asked[name].in_path:
                del schema["properties"][hidden]
            if kept := [each for each in schema.pop("required", ()) if each in schema["properties"]]:
                schema["required"] = kept
        schemas[name] = schema
    problem = {"title": "string", "detail": "string", "status": "integer", "type": "string"}
    properties = {name: {"type": kind} for name, kind in problem.items()}
    return {**schemas, "Problem": {"type": "object", "description": "RFC 9457.", "properties": properties}}


def _error(status: str, text: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    headers = {"Retry-After": {"description": "Seconds, or a date.", "schema": {"type": "string"}}}
    return {"description": text, "content": content} | ({"headers": headers} if status in BUSY else {})


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REF.format(model=name)}}}


def _without_default(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != "default"}


def main() -> None:
    """Write the file, or compare it with what is there."""
    text = json.dumps(describe(), indent=2, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text)
    elif not TARGET.exists() or TARGET.read_text() != text:
        sys.exit(f"error: docs/{TARGET.name} is out of step with the clients' models: run `make generate`")


if __name__ == "__main__":
    main()

"""What models and tools' arguments have to look like: JSON Schema.

Schemas are written by strangers, and values by models: a pattern such as `^(a+)+$` takes hours on thirty characters,
and comparing each item of a list with each takes minutes on what fits into one answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import ConfigError
from agent_runtime.spec.confined import Confined, ConfinedError
from agent_runtime.spec.size import exceeds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema.protocols import Validator

_HELPER = Confined("agent_runtime.workflow.json_schema:confined", ["{}", {}, True])
_LINEAR = {
    "type", "properties", "required", "items", "prefixItems", "additionalProperties", "enum", "const", "minimum",
    "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems",
    "minProperties", "maxProperties", "anyOf", "oneOf", "allOf", "not", "title", "description", "default", "examples",
    "format", "nullable", "$schema", "$id", "$comment",
}  # fmt: skip
"""Keywords that take no longer than the size of the schema times that of the value."""
_LITTLE = 2 << 20
"""That product, up to which a value is checked in the pod's own process."""
_QUOTED = 300


@dataclass(frozen=True)
class Schema:
    """A JSON Schema, which has been found to be one."""

    text: str
    light: bool
    """Whether it has no keyword that can take long on a small value."""

    @classmethod
    def read(cls, schema: Mapping[str, Any], what: str) -> Schema:
        """Raises ConfigError if `schema`, which is that of `what`, is not valid."""
        from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - loaded only where a schema is used

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ConfigError(f"the JSON Schema of {what} is not valid: {error.message}") from error
        return cls(json.dumps(schema), _is_light(schema))

    async def mismatch(self, value: Any, *, quote_value: bool = True) -> str | None:
        """Where and why a value does not fit, or None. Told without the value, it may go into logs."""
        if self.light and not exceeds(value, _LITTLE // len(self.text)):
            return confined((self.text, value, quote_value))
        try:
            found: str | None = await _HELPER.ask_without_blocking([self.text, value, quote_value])
        except ConfinedError as error:
            return f"it can't be checked: {error}"
        return found


def confined(question: tuple[str, Any, bool]) -> str | None:
    """See `Schema.mismatch`: the schema's text, the value, and whether to quote it."""
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 - loaded only where a schema is used

    text, value, quote_value = question
    try:
        error = next(iter(_validator(text).iter_errors(value)), None)
    except Unresolvable as broken:
        return f"the schema's `$ref` {broken.ref!r} leads nowhere"
    if error is None:
        return None
    where = ".".join(str(part) for part in error.absolute_path)
    message = error.message if quote_value else f"it breaks the schema's `{error.validator}`"
    if len(message) > _QUOTED:
        message = f"{message[:_QUOTED]}..."
    return f"{where}: {message}" if where else message


@lru_cache(maxsize=64)
def _validator(text: str) -> Validator:
    """A validator that never fetches a `$ref` from the network."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - loaded only where a schema is used
    from referencing import Registry  # noqa: PLC0415 - likewise

    return Draft202012Validator(json.loads(text), registry=Registry())


def _is_light(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return True
    if not _LINEAR.issuperset(schema):
        return False
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    inner += [schema.get("not"), *schema.get("prefixItems", ())]
    inner += [each for name in ("anyOf", "oneOf", "allOf") for each in schema.get(name, ())]
    return all(_is_light(each) for each in inner)

"""What agents may be granted: no more than the operator's administrator has set.

The API server lets nobody grant what he does not hold himself, and the operator holds neither `escalate` nor `bind`.
But it holds rights for its own work too, such as to read Secrets, and these are not to be had through it either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import product

from pydantic import TypeAdapter, ValidationError

from apm_operator.api.permissions import Permission
from apm_operator.errors import SettingsError

_PERMISSIONS = TypeAdapter(tuple[Permission, ...])
_TOLD = 3


def read(text: str) -> tuple[Permission, ...]:
    """What may be granted, from JSON.

    Raises:
        SettingsError: it is no list of permissions, or one of them is more than any agent may have.
    """
    try:
        return _PERMISSIONS.validate_json(text or "[]")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        raise SettingsError(f"APM_GRANTABLE{at} (the chart's permissions.grantable): {first['msg']}") from None


def beyond(asked: Iterable[Permission], grantable: Iterable[Permission]) -> tuple[Permission, ...]:
    """The permissions that ask for more than may be granted."""
    allowed = tuple(grantable)
    return tuple(permission for permission in asked if not _covered(permission, allowed))


def _covered(asked: Permission, allowed: tuple[Permission, ...]) -> bool:
    return all(
        _named(asked, [rule for rule in allowed if _speaks_of(rule, group, resource, verb)])
        for group, resource, verb in product(asked.api_groups, asked.resources, asked.verbs)
    )


def _speaks_of(rule: Permission, group: str, resource: str, verb: str) -> bool:
    return group in rule.api_groups and resource in rule.resources and verb in rule.verbs


def _named(asked: Permission, rules: list[Permission]) -> bool:
    """Whether rules for one verb and resource cover the objects that are asked for; a rule without names is for all."""
    if any(not rule.resource_names for rule in rules):
        return True
    return bool(asked.resource_names) and set(asked.resource_names) <= {
        name for rule in rules for name in rule.resource_names
    }


def told(refused: tuple[Permission, ...]) -> str:
    """What the operator may not grant, and what its administrator would have to add; "" where nothing is refused."""
    if not refused:
        return ""
    rules = [permission.model_dump(mode="json", by_alias=True, exclude_defaults=True) for permission in refused]
    more = f" and {len(rules) - _TOLD} more" if len(rules) > _TOLD else ""
    return (
        f"spec.permissions asks for more than the operator may grant: {json.dumps(rules[:_TOLD])}{more}. The agent "
        "runs without any permissions. Remove these entries, or have the operator's administrator add them to the "
        "chart's value permissions.grantable."
    )

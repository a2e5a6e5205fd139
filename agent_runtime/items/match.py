"""Which items and namespaces a question of LangGraph's store means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from langgraph.store.base import ListNamespacesOp, MatchCondition

    Namespace = tuple[str, ...]


def check_filter(wanted: Mapping[str, Any] | None, path: str = "filter") -> None:
    """Raises InputError where the filter, or one within it, has an operator that there is none of."""
    for name, value in (wanted or {}).items():
        if not _is_rule(value):
            check_filter(value if isinstance(value, dict) else None, f"{path}.{name}")
        elif unknown := [key for key in value if key not in _COMPARE]:
            raise InputError(f"`{path}.{name}`: there is no operator {unknown[0]}: use {', '.join(_COMPARE)}")


def fits(value: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> bool:
    """Whether an item's value has what the filter asks for."""
    return all(_holds(value.get(name), rule) for name, rule in (wanted or {}).items())


def chosen(namespaces: Iterable[Namespace], asked: ListNamespacesOp) -> list[Namespace]:
    """The namespaces that are meant, cut at the depth asked for, in order."""
    conditions = asked.match_conditions or ()
    found = {name[: asked.max_depth] for name in namespaces if all(_is_at(name, each) for each in conditions)}
    return sorted(found)[asked.offset : asked.offset + asked.limit]


def _is_at(namespace: Namespace, condition: MatchCondition) -> bool:
    path = condition.path
    if len(path) > len(namespace):
        return False
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(wanted in {"*", label} for wanted, label in zip(path, part, strict=True))


def _is_rule(value: Any) -> bool:
    return isinstance(value, dict) and any(str(key).startswith("$") for key in value)


def _holds(value: Any, rule: Any) -> bool:
    if _is_rule(rule):
        return all(_COMPARE[operator](value, operand) for operator, operand in rule.items())
    if isinstance(rule, dict):
        return isinstance(value, dict) and fits(value, rule)
    return bool(value == rule)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(value: Any, operand: Any) -> bool:
        try:
            return compare(value, operand)
        except TypeError:
            # Of different types: neither is above the other.
            return False

    return holds


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda value, operand: bool(value == operand),
    "$ne": lambda value, operand: bool(value != operand),
    "$gt": _ordered(lambda value, operand: value > operand),
    "$gte": _ordered(lambda value, operand: value >= operand),
    "$lt": _ordered(lambda value, operand: value < operand),
    "$lte": _ordered(lambda value, operand: value <= operand),
}

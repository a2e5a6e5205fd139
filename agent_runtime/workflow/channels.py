"""The channels of a workflow's state, and how writes to them meet."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Annotated, Any

from langchain_core.messages import convert_to_messages
from langgraph.channels import BinaryOperatorAggregate, LastValue
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict  # of which pydantic makes schemas also on Python 3.11

from agent_runtime.errors import WorkflowError
from agent_runtime.spec.size import exceeds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from agent_runtime.spec.channel import ChannelSpec

LARGEST_VALUE = 4 << 20
"""Bytes that a channel may keep. A workflow that doubles a text at each step would else fill the pod's memory."""

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


class DefaultValue(LastValue[Any]):
    """Keeps the last value written, and begins with a default."""

    __slots__ = ("initial",)

    def __init__(self, initial: Any, key: str = "") -> None:
        super().__init__(Any, key)
        self.initial = initial
        self.value = copy.deepcopy(initial)

    def copy(self) -> Self:
        """The same channel, apart from this one."""
        return self.from_checkpoint(self.value)

    def from_checkpoint(self, checkpoint: Any) -> Self:
        """The channel as a checkpoint kept it."""
        restored = LastValue[Any](Any).from_checkpoint(checkpoint)
        same = self.__class__(self.initial, self.key)
        if restored.is_available():
            same.value = restored.value
        return same


class DefaultAggregate(BinaryOperatorAggregate[Any]):
    """Reduces all values written, and begins with a default."""

    __slots__ = ("initial",)

    def __init__(self, operator: Callable[[Any, Any], Any], initial: Any) -> None:
        super().__init__(Any, operator)
        self.initial = initial
        self.value = copy.deepcopy(initial)

    def copy(self) -> Self:
        """The same channel, apart from this one."""
        same = self.__class__(self.operator, None)
        same.key, same.initial, same.value = self.key, self.initial, self.value
        return same

    def from_checkpoint(self, checkpoint: Any) -> Self:
        """The channel as a checkpoint kept it."""
        restored = BinaryOperatorAggregate(Any, self.operator).from_checkpoint(checkpoint)
        same = self.__class__(self.operator, self.initial)
        same.key = self.key
        if restored.is_available():
            same.value = restored.value
        return same


def schema(name: str, channels: Mapping[str, ChannelSpec]) -> type:
    """The state type that LangGraph builds the channels from."""
    fields = {key: Annotated[Any, _channel(key, channel)] for key, channel in channels.items()}
    return TypedDict(name, fields, total=False)  # type: ignore[operator, no-any-return]


def fit(name: str, channel: ChannelSpec, value: Any) -> Any:
    """A value as the channel takes it.

    Raises:
        WorkflowError: It is of another type than the channel's, or larger than a channel keeps.
    """
    fitted = _fit(name, channel, value)
    _bound(name, fitted)
    return fitted


def _fit(name: str, channel: ChannelSpec, value: Any) -> Any:
    if channel.reduce in {"append", "union"} and not isinstance(value, list):
        return [value]
    if channel.type == "messages":
        return _messages(name, value)
    if channel.type == "any" or (value is None and channel.reduce in {None, "replace"}):
        return value
    if channel.type == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    expected = _PYTHON_TYPES[channel.type]
    if isinstance(value, expected) and (channel.type == "boolean" or not isinstance(value, bool)):
        return value
    raise WorkflowError(f"channel `{name}` is of type {channel.type} and can't keep {_type_name(value)}")


def _messages(name: str, value: Any) -> Any:
    given = value if isinstance(value, list) else [value]
    try:
        return convert_to_messages([("user", item) if isinstance(item, str) else item for item in given])
    except (ValueError, TypeError, LookupError, AttributeError, NotImplementedError):
        raise WorkflowError(
            f"channel `{name}` takes messages such as {{role: user, content: text}}, and got something else"
        ) from None


def _bound(name: str, value: Any) -> None:
    if exceeds(value, LARGEST_VALUE):
        raise WorkflowError(
            f"channel `{name}` can't keep more than {LARGEST_VALUE >> 20} MiB: write less to it, or clear it at times"
        )


def _bounded(name: str, operator: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def reduce(old: Any, new: Any) -> Any:
        value = operator(old, new)
        _bound(name, value)
        return value

    return reduce


def _channel(name: str, channel: ChannelSpec) -> LastValue[Any] | BinaryOperatorAggregate[Any]:  # noqa: PLR0911 - one per reducer
    if channel.type == "messages":
        return DefaultAggregate(_bounded(name, add_messages), add_messages([], channel.default or []))
    match channel.reduce:
        case "append":
            return DefaultAggregate(_bounded(name, _append), channel.default or [])
        case "union":
            return DefaultAggregate(_bounded(name, _union), channel.default or [])
        case "merge":
            return DefaultAggregate(_bounded(name, _merge), channel.default or {})
        case "sum":
            return DefaultAggregate(_sum, channel.default or 0)
        case "max":
            return DefaultAggregate(_max, channel.default)
        case _:
            return LastValue(Any) if channel.default is None else DefaultValue(channel.default)


def _append(old: list[Any], new: list[Any]) -> list[Any]:
    return [*old, *new]


def _union(old: list[Any], new: list[Any]) -> list[Any]:
    # By their text: comparing each with each takes minutes for a list that fits into one request.
    known = {_text(item) for item in old}
    added: dict[str, Any] = {}
    for item in new:
        added.setdefault(_text(item), item)
    return [*old, *(item for text, item in added.items() if text not in known)]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {**old, **new}


def _sum(old: float, new: float) -> float:
    return old + new


def _max(old: float | None, new: float) -> float:
    return new if old is None else max(old, new)


def _type_name(value: Any) -> str:
    names = {
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return "null" if value is None else names.get(type(value), type(value).__name__)

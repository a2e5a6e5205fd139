"""CEL expressions: how a workflow computes and decides. Never Python.

The evaluator is Google's own; it takes expressions of up to 32 levels, and stops an evaluation after 10,000 iterations.
What could still take long or much memory runs in a process of its own. Language: https://github.com/google/cel-spec
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from agent_runtime.spec.confined import ConfinedError
from agent_runtime.spec.evaluator import EVALUATOR
from agent_runtime.spec.size import exceeds

if TYPE_CHECKING:
    from cel_expr_python import cel

WORKFLOW_VARIABLES = ("state",)
SCRIPT_VARIABLES = ("prompt", "last", "messages")

_LITERAL = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_STATE_FIELD = re.compile(r"(?<![\w.])state\.([A-Za-z_]\w*)\b(?!\s*\()")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\(")
_LINEAR = {
    "has", "size", "type", "bool", "int", "uint", "double", "string", "dyn", "timestamp", "duration", "contains",
    "startsWith", "endsWith", "indexOf", "lastIndexOf", "charAt", "substring", "lowerAscii", "upperAscii", "trim",
    "abs", "ceil", "floor", "round", "greatest", "least",
}  # fmt: skip
"""Functions whose time and result grow no faster than what they are given."""
_FEW = 24
"""Names and additions in an expression that is evaluated here."""
_LITTLE = 256 << 10
"""Bytes of data that an expression is evaluated on here: each addition may copy all of it."""
_PROTOBUF = "google.protobuf"
_POSITION = re.compile(r"ERROR: <input>:\d+:(\d+): (.*)")


class ExpressionError(ValueError):
    """A CEL expression that doesn't parse, or can't be evaluated on the given values."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled CEL expression."""

    text: str
    program: cel.Expression
    variables: tuple[str, ...]
    light: bool
    """Whether it can do no more than read its data a few times."""

    @classmethod
    def compile(cls, text: str, variables: tuple[str, ...] = WORKFLOW_VARIABLES) -> Expression:
        """Compile `text`, which may use the given variables and CEL's string and math extensions.

        Raises:
            ExpressionError: it doesn't parse or doesn't type-check; says where and why.
        """
        try:
            return cls(text, _program(text, variables), variables, _is_light(text))
        except RuntimeError as error:
            raise ExpressionError(f"`{text}` is no valid CEL expression: {_reason(error)}") from None

    @property
    def may_be_bool(self) -> bool:
        """Whether the expression can serve as a condition."""
        from cel_expr_python import cel  # noqa: PLC0415 - 5 MiB, which an agent without expressions does not load

        return self.program.return_type() in (cel.Type.BOOL, cel.Type.DYN)

    async def evaluate(self, **variables: Any) -> Any:
        """The value of the expression as plain Python data. The event loop goes on while one takes long.

        Raises:
            ExpressionError: a field is missing, types don't fit, or it takes too many iterations, time or memory.
        """
        needed = self._needed(variables)
        if self.light and not exceeds(needed, _LITTLE):
            return self.evaluate_here(variables)
        try:
            return await EVALUATOR.ask_without_blocking([self.text, self.variables, needed])
        except ConfinedError as error:
            reason = str(error).removeprefix(_failed(self.text))
            raise ExpressionError(f"{_failed(self.text)}{reason}") from None

    def evaluate_here(self, variables: Mapping[str, Any]) -> Any:
        """As `evaluate`, in this process and without limits of time and memory."""
        from cel_expr_python import cel  # noqa: PLC0415 - as above

        try:
            value = self.program.eval(data=variables)
        except (RuntimeError, TypeError) as error:
            raise ExpressionError(f"{_failed(self.text)}{_reason(error)}") from None
        if value.type() == cel.Type.ERROR:
            raise ExpressionError(f"{_failed(self.text)}{value.plain_value()}")
        return value.plain_value()

    def _needed(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The variables that the text names, and of `state` the fields that it names."""
        names = _NAME.findall(self.text)
        needed = {name: value for name, value in variables.items() if name in names}
        fields = _STATE_FIELD.findall(self.text)
        if "state" in needed and names.count("state") == len(fields):
            needed["state"] = {name: needed["state"][name] for name in fields if name in needed["state"]}
        return needed

    async def holds(self, variables: Mapping[str, Any]) -> bool:
        """The value of a condition.

        Raises:
            ExpressionError: as `evaluate`, and when the value is no boolean.
        """
        value = await self.evaluate(**variables)
        if not isinstance(value, bool):
            raise ExpressionError(f"`{self.text}` must be true or false, and is {type(value).__name__}")
        return value


def state_fields(text: str) -> Iterable[str]:
    """The fields of `state` that an expression names."""
    return _STATE_FIELD.findall(_LITERAL.sub("''", text))


def _program(text: str, variables: tuple[str, ...]) -> cel.Expression:
    try:
        return _environment(variables, extended=False).compile(text)
    except RuntimeError:
        return _environment(variables, extended=True).compile(text)


@lru_cache(maxsize=8)
def _environment(variables: tuple[str, ...], *, extended: bool) -> cel.Env:
    from cel_expr_python import cel  # noqa: PLC0415 - only what is used is loaded

    types = dict.fromkeys(variables, cel.Type.DYN)
    if "state" in types:
        types["state"] = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    if not extended:
        with _without_protobuf():
            return cel.NewEnv(variables=types)
    # Loaded only for an expression that needs them: the extensions take 5 MiB of a pod's memory.
    from cel_expr_python.ext import ext_math, ext_strings  # noqa: PLC0415 - likewise

    with _without_protobuf():
        return cel.NewEnv(variables=types, extensions=[ext_strings.ExtStrings(), ext_math.ExtMath()])


@contextmanager
def _without_protobuf() -> Iterator[None]:
    """Leaves out what CEL loads where it is there, 4 MiB: it is for messages of protobuf, which are no plain data.

    Nobody else asks for it meanwhile: all expressions of a spec are compiled before an agent's own code is loaded.
    """
    if _PROTOBUF in sys.modules:
        yield
        return
    sys.modules[_PROTOBUF] = None  # type: ignore[assignment] # which means: there is none
    try:
        yield
    finally:
        sys.modules.pop(_PROTOBUF, None)


def _is_light(text: str) -> bool:
    """Whether an expression has no loops, and no functions that make much of little; in doubt it is said to have."""
    if "//" in text or "`" in text:
        return False
    # Where quotes may mean something else, words in literals are counted as well.
    plain = not any(mark in text for mark in ("\\", "'''", '"""'))
    bare = _LITERAL.sub("''", text) if plain else text
    mentions = len(_NAME.findall(bare)) + bare.count("+")
    return mentions <= _FEW and _LINEAR.issuperset(_CALL.findall(text))


def _failed(text: str) -> str:
    return f"`{text}` can't be evaluated: "


def _reason(error: Exception) -> str:
    text = str(error)
    if found := _POSITION.search(text):
        return f"at character {found[1]}, {found[2].partition(' expecting {')[0]}"
    return text.removesuffix(" [INTERNAL]")

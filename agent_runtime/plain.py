"""JSON from outside."""

from __future__ import annotations

import json
import sys
from typing import Any

DEEPEST = 64
"""Levels of lists and objects of requests and of an agent's state; MongoDB keeps 100, a JSON writer some 250."""
DEEPEST_ANSWER = 60
"""Levels of what a model or tool answers, which becomes a part of the state."""


class TooDeep(ValueError):
    """A value has more levels than it may."""


def parse(text: str | bytes, levels: int = DEEPEST_ANSWER) -> Any:
    """The value of a JSON text of at most so many levels of lists and objects.

    Raises:
        TooDeep: It has more levels.
        ValueError: It is no JSON.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise TooDeep from None
    if deeper(value, levels):
        raise TooDeep
    return value


def weight(value: Any) -> int:
    """Bytes that plain data takes in memory, about: JSON may take twenty times its text, such as lists in lists."""
    total, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        total += sys.getsizeof(one)
        if isinstance(one, dict):
            waiting += one
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
    return total


def deeper(value: Any, levels: int) -> bool:
    """Whether a value has more levels of lists and objects; counted without recursion."""
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            child
            for one in layer
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not layer:
            return False
    return True

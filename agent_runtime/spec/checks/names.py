from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent_runtime.spec.checks.problem import Problem


def duplicates(names: Iterable[str], path: str, noun: str) -> Iterator[Problem]:
    """Names that stand twice in a list."""
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen:
            yield Problem(
                f"{path}[{number}].name", f"there is another {noun} `{name}`: give this one a name of its own"
            )
        seen.add(name)


def repeated(names: Iterable[str], path: str) -> Iterator[Problem]:
    """Names that a list refers to twice: a slip, since nothing runs twice for it."""
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen:
            yield Problem(f"{path}[{number}]", f"`{name}` stands twice in this list: remove it here, or correct it")
        seen.add(name)

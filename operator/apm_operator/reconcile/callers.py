"""Who may call whom, by the specs as users wrote them: none of them is parsed, and any of them may be wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from apm_operator.api.group import DEFAULT_TLS_MODE
from apm_operator.queue import Key


@dataclass(frozen=True, slots=True)
class Links:
    """The other agents that a spec names.

    Attributes:
        asks: those that nodes of its workflows ask, and those that its sinks push events to.
        reaches: those that its pods may connect to: whom it asks, and `network.egressTo`.
        admits: those that `network.ingressFrom` lets in.
        plain: whether the agent itself speaks plain HTTP.
        floods: those that its sinks push all events to, whatever their type.
    """

    asks: frozenset[Key] = frozenset()
    reaches: frozenset[Key] = frozenset()
    admits: frozenset[Key] = frozenset()
    plain: bool = DEFAULT_TLS_MODE == "Disabled"
    floods: frozenset[Key] = frozenset()


_NONE: Final = Links()


def links(namespace: str, spec: object) -> Links:
    """The agents that the spec of an agent in `namespace` names."""
    if not isinstance(spec, Mapping):
        return _NONE
    flows = [spec.get("workflow"), *_items(spec, "workflows")]
    sinks = _sinks(spec)
    asked = [*(name for flow in flows for name in _asked(flow)), *sinks]
    asks = frozenset(Key(namespace, name) for name in asked)
    network = spec.get("network")
    reaches = asks | frozenset(_named(namespace, network, "egressTo"))
    tls = spec.get("tls")
    mode = tls.get("mode", DEFAULT_TLS_MODE) if isinstance(tls, Mapping) else DEFAULT_TLS_MODE
    admits = frozenset(_named(namespace, network, "ingressFrom"))
    floods = frozenset(Key(namespace, name) for name, narrow in sinks.items() if not narrow)
    return Links(asks, reaches, admits, mode == "Disabled", floods)


def _asked(flow: object) -> Iterator[str]:
    for node in _items(flow, "nodes"):
        if isinstance(node, Mapping) and node.get("uses") == "agent":
            parameters = node.get("with")
            name = parameters.get("ref") if isinstance(parameters, Mapping) else None
            if isinstance(name, str):
                yield name


def _sinks(spec: Mapping[str, Any]) -> dict[str, bool]:
    """The agents that events are pushed to, and whether only some are."""
    found: dict[str, bool] = {}
    for sink in _items(spec.get("events"), "sinks"):
        name = sink.get("agent") if isinstance(sink, Mapping) else None
        if isinstance(name, str):
            narrow = sink.get("filter") is not None or sink.get("type") not in (None, "*")
            found[name] = found.get(name, True) and narrow
    return found


def _named(namespace: str, network: object, field: str) -> Iterator[Key]:
    for peer in _items(network, field):
        name = peer.get("agent") if isinstance(peer, Mapping) else None
        if isinstance(name, str):
            yield Key(str(peer.get("namespace") or namespace), name)


def _items(value: object, field: str) -> list[Any]:
    found = value.get(field) if isinstance(value, Mapping) else None
    return found if isinstance(found, list) else []


class CallIndex:
    """The links of all agents, and who is named by whom."""

    def __init__(self) -> None:
        self._links: dict[Key, Links] = {}
        self._reached_by: dict[Key, set[Key]] = {}

    def put(self, key: Key, new: Links) -> frozenset[Key]:
        """An agent's spec now names these.

        Returns:
            The agents whose callers are others than before through this, and those that call it at another port.
        """
        old = self._links.pop(key, _NONE)
        if new != _NONE:
            self._links[key] = new
        for other in old.reaches - new.reaches:
            reached_by = self._reached_by[other]
            reached_by.discard(key)
            if not reached_by:
                del self._reached_by[other]
        for other in new.reaches - old.reaches:
            self._reached_by.setdefault(other, set()).add(key)
        changed = old.asks ^ new.asks
        if old.plain != new.plain:
            changed |= self._reached_by.get(key, set())
        return changed | {key} if old.admits != new.admits else changed

    def drop(self, key: Key) -> frozenset[Key]:
        """An agent is gone; see `put`."""
        return self.put(key, _NONE)

    def callers(self, key: Key) -> tuple[Key, ...]:
        """Who may call an agent: those whose spec asks it or pushes to it, and those that it lets in itself.

        To be named in the other's `egressTo` is not enough: both ends have to agree.
        """
        asking = {other for other in self._reached_by.get(key, ()) if key in self._links[other].asks}
        return tuple(sorted(asking | self._links.get(key, _NONE).admits))

    def loop(self, key: Key) -> tuple[Key, ...]:
        """The shortest way on which all events of an agent come back to it, from agent to agent; () if there is none.

        Sinks with a `type` or `filter` don't count: what they let through is known only to who wrote them.
        """
        ways: list[tuple[Key, ...]] = [(key,)]
        seen: set[Key] = set()
        for way in ways:
            for other in sorted(self._links.get(way[-1], _NONE).floods):
                if other == key:
                    return (*way, key)
                if other not in seen:
                    seen.add(other)
                    ways.append((*way, other))
        return ()

    def plain(self, key: Key) -> bool:
        """Whether an agent speaks plain HTTP; one that is not known does what is usual."""
        return self._links.get(key, _NONE).plain

    def reached_by(self, key: Key) -> tuple[Key, ...]:
        """The agents whose own spec makes their pods connect to this one."""
        return tuple(sorted(self._reached_by.get(key, ())))

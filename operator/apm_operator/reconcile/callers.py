"""Who may call whom, by the specs as users wrote them: none of them is parsed, and any of them may be wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from agent_runtime.spec.state import DEFAULT_DATABASE
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
        sleeps: whether it may have no pods but its activator's.
        floods: those that its sinks push all events to, whatever their type.
        pushes: those that its sinks push events to, each with the sink's name.
        state: Secret, key and database of where its events wait; None where that is its pods' memory.
    """

    asks: frozenset[Key] = frozenset()
    reaches: frozenset[Key] = frozenset()
    admits: frozenset[Key] = frozenset()
    plain: bool = DEFAULT_TLS_MODE == "Disabled"
    sleeps: bool = False
    floods: frozenset[Key] = frozenset()
    pushes: frozenset[tuple[Key, str]] = frozenset()
    state: tuple[str, str, str] | None = None


_NONE: Final = Links()


def links(namespace: str, spec: object) -> Links:
    """The agents that the spec of an agent in `namespace` names."""
    if not isinstance(spec, Mapping):
        return _NONE
    flows = [spec.get("workflow"), *_items(spec, "workflows")]
    sinks = list(_sinks(namespace, spec))
    asked = (Key(namespace, name) for flow in flows for name in _asked(flow))
    asks = frozenset(asked) | {sink.to for sink in sinks}
    network = spec.get("network")
    reaches = asks | frozenset(_named(namespace, network, "egressTo"))
    tls = spec.get("tls")
    mode = tls.get("mode", DEFAULT_TLS_MODE) if isinstance(tls, Mapping) else DEFAULT_TLS_MODE
    admits = frozenset(_named(namespace, network, "ingressFrom"))
    floods = frozenset(sink.to for sink in sinks if not sink.narrow)
    pushes = frozenset((sink.to, sink.name) for sink in sinks)
    scaling = spec.get("autoscaling")
    sleeps = isinstance(scaling, Mapping) and scaling.get("minReplicas") == 0
    return Links(asks, reaches, admits, mode == "Disabled", sleeps, floods, pushes, _state(spec))


def _asked(flow: object) -> Iterator[str]:
    for node in _items(flow, "nodes"):
        if isinstance(node, Mapping) and node.get("uses") == "agent":
            parameters = node.get("with")
            name = parameters.get("ref") if isinstance(parameters, Mapping) else None
            if isinstance(name, str):
                yield name


class _Sink(NamedTuple):
    to: Key
    name: str
    narrow: bool
    """Whether only some events are pushed."""


def _sinks(namespace: str, spec: Mapping[str, Any]) -> Iterator[_Sink]:
    for sink in _items(spec.get("events"), "sinks"):
        agent = sink.get("agent") if isinstance(sink, Mapping) else None
        if isinstance(agent, str):
            narrow = sink.get("filter") is not None or sink.get("type") not in (None, "*")
            yield _Sink(Key(namespace, agent), str(sink.get("name")), narrow)


def _state(spec: Mapping[str, Any]) -> tuple[str, str, str] | None:
    state = spec.get("state")
    mongodb = state.get("mongodb") if isinstance(state, Mapping) else None
    ref = mongodb.get("uriSecretRef") if isinstance(mongodb, Mapping) else None
    if not isinstance(ref, Mapping) or not isinstance(mongodb, Mapping):
        return None
    return str(ref.get("name")), str(ref.get("key")), str(mongodb.get("database", DEFAULT_DATABASE))


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
            The agents whose callers are others than before through this, and those that call it at another port or now
            by its activator as well.
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
        if old.state != new.state or old.pushes != new.pushes:
            changed |= {to for to, _ in old.pushes | new.pushes}
        if (old.plain, old.sleeps) != (new.plain, new.sleeps):
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

    def senders(self, key: Key) -> tuple[tuple[Key, str], ...]:
        """The agents whose events wait for this one in the database that they share, each with the sink's name."""
        state = self._links.get(key, _NONE).state
        others = (
            (other, self._links[other]) for other in self._reached_by.get(key, ()) if other.namespace == key.namespace
        )
        sharing = ((other, link) for other, link in others if link.state is not None and link.state == state)
        return tuple(sorted((other, sink) for other, link in sharing for to, sink in link.pushes if to == key))

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

    def sleeps(self, key: Key) -> bool:
        """Whether an agent may have no pods but its activator's."""
        return self._links.get(key, _NONE).sleeps

    def reached_by(self, key: Key) -> tuple[Key, ...]:
        """The agents whose own spec makes their pods connect to this one."""
        return tuple(sorted(self._reached_by.get(key, ())))

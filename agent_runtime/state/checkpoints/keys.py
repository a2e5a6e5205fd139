"""The `_id`s of checkpoints' documents: `agent/thread|kind|namespace`, and behind it what tells several apart."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote

COLLECTION = "checkpoint_logs"
"""Where heads, segments and blobs stand."""

_HEAD, _SEGMENT, _BLOB = "0", "1", "2"
"""In this order: a dump that reads by `_id` so has all that the heads in it refer to."""
_THREAD_SAFE = "~@:+= "


class LogKey(NamedTuple):
    """Names the log of one namespace of a thread."""

    agent: str
    thread: str
    namespace: str

    @property
    def head(self) -> str:
        """The head's `_id`."""
        return f"{_of_thread(self.agent, self.thread)}{_HEAD}|{self.namespace}"

    def segment(self, end: int) -> str:
        """The `_id` of the segment that ends before the record of this number."""
        return f"{_of_thread(self.agent, self.thread)}{_SEGMENT}|{self.namespace}|{end:010x}"

    def chunk(self, digest: str, number: int) -> str:
        """The `_id` of a part of a blob."""
        return f"{_of_thread(self.agent, self.thread)}{_BLOB}|{self.namespace}|{digest}|{number:04x}"

    @property
    def segments(self) -> dict[str, str]:
        """The range of the segments' `_id`s; a namespace that begins with this one's name may have some among them."""
        prefix = f"{_of_thread(self.agent, self.thread)}{_SEGMENT}|{self.namespace}|"
        return {"$gte": prefix, "$lt": prefix + "g"}

    @property
    def blobs(self) -> dict[str, str]:
        """The range of the blobs' `_id`s, likewise."""
        prefix = f"{_of_thread(self.agent, self.thread)}{_BLOB}|{self.namespace}|"
        return {"$gte": prefix, "$lt": prefix + "g"}


def log_of(name: str, agent: str) -> LogKey:
    """The log that a head or segment belongs to, by its `_id`."""
    thread, kind, rest = name.removeprefix(f"{agent}/").split("|", 2)
    return LogKey(agent, unquote(thread), rest if kind == _HEAD else rest.rpartition("|")[0])


def thread_range(agent: str, thread: str) -> dict[str, str]:
    """The range of the `_id`s of all that belongs to a thread."""
    return _behind(_of_thread(agent, thread))


def heads_range(agent: str, thread: str) -> dict[str, str]:
    """The range of the `_id`s of a thread's heads."""
    return _behind(f"{_of_thread(agent, thread)}{_HEAD}|")


def agent_range(agent: str) -> dict[str, str]:
    """The range of the `_id`s of all that belongs to an agent."""
    return {"$gte": f"{agent}/", "$lt": f"{agent}0"}  # `0` follows `/`


def _of_thread(agent: str, thread: str) -> str:
    return f"{agent}/{quote(thread, safe=_THREAD_SAFE)}|"


def _behind(prefix: str) -> dict[str, str]:
    # Nothing that is written begins with the last character of all.
    return {"$gte": prefix, "$lt": prefix[:-1] + chr(ord(prefix[-1]) + 1)}

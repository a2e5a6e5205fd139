"""Logs of subgraphs: each run of one has a log of its own, which is of use as long as its parent's checkpoint is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_runtime.state.checkpoints import keys, tail
from agent_runtime.state.checkpoints.history import History
from agent_runtime.state.connection import answering

if TYPE_CHECKING:
    from agent_runtime.state.checkpoints.keys import LogKey
    from agent_runtime.state.checkpoints.site import Site


async def clear(root: LogKey, site: Site) -> None:
    """Removes the logs that belong to checkpoints that the root's log no longer has."""
    collection = site.collection()
    async with answering():
        wanted = {"_id": keys.heads_range(root.agent, root.thread)}
        heads = {document["namespace"]: document async for document in collection.find(wanted)}
    known = tail.opened(heads.pop(""), site.sealer.open, site.serde)
    there = {frame.id async for frame in History(root, known, site.archive(root)).frames()}
    for namespace, document in heads.items():
        newest = tail.opened(document, site.sealer.open, site.serde).newest
        parent = newest and newest.metadata.get("parents", {}).get("")
        if parent and parent not in there:
            key = keys.LogKey(root.agent, root.thread, namespace)
            own = {"namespace": namespace}
            async with answering():
                await collection.delete_one({"_id": key.head})
                await collection.delete_many({"_id": key.segments, **own})
                await collection.delete_many({"_id": key.blobs, **own})

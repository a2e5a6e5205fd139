"""Whether the keys at hand are those that an agent's checkpoints are encrypted with, told when the agent starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bson import Binary
from pymongo.errors import DuplicateKeyError

from agent_runtime.errors import StateLostError, UnavailableError
from agent_runtime.state.connection import answering

if TYPE_CHECKING:
    from pymongo.asynchronous.collection import AsyncCollection

    from agent_runtime.state.checkpoints.seal import Sealer

_CONTENT = b"apm"


async def check(collection: AsyncCollection[dict[str, Any]], agent: str, sealer: Sealer) -> None:
    """Opens what was sealed when checkpoints of the agent were encrypted first, or seals it now.

    Raises:
        UnavailableError: It was sealed with another key, or MongoDB can't be used.
    """
    name = f"{agent}/|key"
    async with answering():
        found = await collection.find_one({"_id": name})
    if found is not None:
        try:
            sealer.open(found["data"], name)
        except StateLostError as error:
            raise UnavailableError(str(error)) from error
        return
    if sealer.cipher is None:
        return
    async with answering():
        try:
            await collection.insert_one({"_id": name, "agent": agent, "data": Binary(sealer.seal(_CONTENT, name))})
        except DuplicateKeyError:
            # Another pod was quicker.
            await check(collection, agent, sealer)

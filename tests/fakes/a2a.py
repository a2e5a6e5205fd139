"""The official client of A2A."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
from a2a.client import ClientConfig, create_client
from a2a.types.a2a_pb2 import Message, Part, Role, SendMessageRequest, StreamResponse, Task, TaskState
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from a2a.client import Client

COMPLETED = TaskState.TASK_STATE_COMPLETED
INPUT_REQUIRED = TaskState.TASK_STATE_INPUT_REQUIRED
CANCELED = TaskState.TASK_STATE_CANCELED
FAILED = TaskState.TASK_STATE_FAILED
WORKING = TaskState.TASK_STATE_WORKING


@asynccontextmanager
async def client(url: str, headers: Mapping[str, str] | None = None, **config: Any) -> AsyncIterator[Client]:
    """A client that found the agent by its card."""
    async with httpx.AsyncClient(headers=dict(headers or {}), timeout=30) as http:
        yield await create_client(url, client_config=ClientConfig(httpx_client=http, **config))


def message(*contents: Any, identifier: str = "", context: str = "", task: str = "") -> SendMessageRequest:
    """A person's message: text, or data."""
    parts = [
        Part(text=content) if isinstance(content, str) else Part(data=ParseDict(content, Value()))
        for content in contents
    ]
    told = Message(message_id=identifier or str(uuid4()), role=Role.ROLE_USER, parts=parts)
    told.context_id, told.task_id = context, task
    return SendMessageRequest(message=told)


async def sent(client: Client, request: SendMessageRequest) -> Task:
    """The task that a message without a stream ends with."""
    return [response async for response in client.send_message(request)][-1].task


async def streamed(client: Client, request: SendMessageRequest) -> list[StreamResponse]:
    """All that a message with a stream brings."""
    return [response async for response in client.send_message(request)]


def texts(task: Task) -> list[str]:
    """What the agent said."""
    return [part.text for artifact in task.artifacts for part in artifact.parts]

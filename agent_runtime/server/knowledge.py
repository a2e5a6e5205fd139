"""The documents that an agent looks things up in. Callers see their own, and those that are for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field
from starlette.responses import Response
from starlette.routing import Route

from agent_runtime.errors import ForbiddenError
from agent_runtime.integrations.knowledge.base import EVERYBODY
from agent_runtime.integrations.knowledge.document import Document
from agent_runtime.integrations.knowledge_base import MOST_RESULTS, Search
from agent_runtime.integrations.operation import Metadata, Text
from agent_runtime.server.wire import Body, agent_of, number, principal_of, read, reply

if TYPE_CHECKING:
    from starlette.requests import Request

_PAGE = 1000


class Documents(Body):
    documents: tuple[Document, ...] = Field(max_length=1000)
    shared: bool = False


class Question(Body):
    query: Text
    limit: int = Field(default=5, ge=1, le=MOST_RESULTS)
    filter: Metadata = Field(default_factory=dict, max_length=8)


async def load_documents(request: Request) -> Response:
    knowledge, body = agent_of(request).knowledge, await read(request, Documents)
    passages = await knowledge.load(body.documents, _writer(request, shared=body.shared))
    return reply({"documents": len({each.id for each in body.documents}), "passages": passages})


async def list_documents(request: Request) -> Response:
    limit, offset = number(request, "limit", 100, _PAGE), number(request, "offset", 0, 1_000_000)
    return reply(await agent_of(request).knowledge.documents(_owner(request), limit or _PAGE, offset))


async def delete_document(request: Request) -> Response:
    owner = _writer(request, shared=request.query_params.get("shared", "").lower() == "true")
    await agent_of(request).knowledge.remove(request.path_params["document"], owner)
    return Response(status_code=204)


async def search_documents(request: Request) -> Response:
    knowledge, body = agent_of(request).knowledge, await read(request, Question)
    asked = Search(query=body.query, limit=body.limit, filter=body.filter)
    found: list[Any] = [each.model_dump(mode="json") for each in await knowledge.search(asked, _owner(request))]
    return reply({"results": found})


def _owner(request: Request) -> str:
    return principal_of(request).scope


def _writer(request: Request, *, shared: bool) -> str:
    """Whom what the caller loads is for."""
    if not shared:
        return _owner(request)
    spec, account = agent_of(request).config.spec.integrations, principal_of(request).account
    editors = spec.knowledge_base.editors if spec and spec.knowledge_base else ()
    if principal_of(request).method == "anonymous" or account not in editors:
        raise ForbiddenError(
            f"{account} may not change documents that are for everybody: name it in "
            "`integrations.knowledgeBase.editors`, or leave out `shared`"
        )
    return EVERYBODY


routes = [
    Route("/knowledge/documents", load_documents, methods=["PUT"]),
    Route("/knowledge/documents", list_documents, methods=["GET"]),
    Route("/knowledge/documents/{document}", delete_document, methods=["DELETE"]),
    Route("/knowledge/search", search_documents, methods=["POST"]),
]

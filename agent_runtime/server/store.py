"""LangGraph's store: what a caller has kept across threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from langgraph.store.base import GetOp, Item, ListNamespacesOp, MatchCondition, PutOp, SearchOp
from pydantic import Field, StringConstraints
from starlette.responses import Response
from starlette.routing import Route

from agent_runtime.errors import InputError, NotFoundError
from agent_runtime.items.owned import OwnedItems
from agent_runtime.server.wire import Body, agent_of, principal_of, read, reply, reply_list

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

_DEEPEST = 16
_TTL_MINUTES = 60.0 * 24 * 36500

Label = Annotated[str, StringConstraints(pattern=r"^[^.\x00]+$", max_length=256)]
Namespace = Annotated[tuple[Label, ...], Field(max_length=_DEEPEST)]
Key = Annotated[str, StringConstraints(pattern=r"^[^\x00]+$", max_length=512)]


class Put(Body):
    namespace: Namespace = Field(min_length=1)
    key: Key
    value: dict[str, Any]
    ttl: float | None = Field(default=None, gt=0, le=_TTL_MINUTES)


class Place(Body):
    namespace: Namespace = Field(min_length=1)
    key: Key


class Search(Body):
    namespace_prefix: Namespace = ()
    filter: dict[str, Any] | None = None
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000)
    refresh_ttl: bool = True


class Listing(Body):
    prefix: Namespace | None = None
    suffix: Namespace | None = None
    max_depth: int | None = Field(default=None, ge=1, le=_DEEPEST)
    limit: int = Field(default=100, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000)


async def put_item(request: Request) -> Response:
    body = await read(request, Put)
    _check_root(body.namespace)
    await _items(request).abatch([PutOp(body.namespace, body.key, body.value, ttl=body.ttl)])
    return Response(status_code=204)


async def get_item(request: Request) -> Response:
    labels = request.query_params.get("namespace", "")
    place = Place.model_validate({"namespace": labels.split("."), "key": request.query_params.get("key", "")})
    refresh = request.query_params.get("refresh_ttl", "true").lower() != "false"
    [item] = await _items(request).abatch([GetOp(place.namespace, place.key, refresh)])
    if not isinstance(item, Item):
        raise NotFoundError(f"there is no item {place.key} in {labels}")
    return reply(item.dict())


async def delete_item(request: Request) -> Response:
    body = await read(request, Place)
    await _items(request).abatch([PutOp(body.namespace, body.key, None)])
    return Response(status_code=204)


async def search_items(request: Request) -> Response:
    body = await read(request, Search)
    asked = SearchOp(body.namespace_prefix, body.filter, body.limit, body.offset, refresh_ttl=body.refresh_ttl)

    async def found() -> AsyncIterator[dict[str, Any]]:
        for item in await _items(request).find(asked, sealed=True):
            yield item.dict()

    return await reply_list(request, found(), "items")


async def list_namespaces(request: Request) -> Response:
    body = await read(request, Listing)
    conditions = []
    if body.prefix:
        conditions.append(MatchCondition("prefix", body.prefix))
    if body.suffix:
        conditions.append(MatchCondition("suffix", body.suffix))
    asked = ListNamespacesOp(tuple(conditions) or None, body.max_depth, body.limit, body.offset)
    return reply({"namespaces": await _items(request).spaces(asked)})


def _check_root(namespace: tuple[str, ...]) -> None:
    if namespace[0] == "langgraph":
        raise InputError("`namespace` can't begin with `langgraph`: LangGraph keeps its own things there")


def _items(request: Request) -> OwnedItems:
    """The caller's items."""
    owner = principal_of(request).scope
    return OwnedItems(agent_of(request).items, lambda: owner)


routes = [
    Route("/store/items", put_item, methods=["PUT"]),
    Route("/store/items", get_item, methods=["GET"]),
    Route("/store/items", delete_item, methods=["DELETE"]),
    Route("/store/items/search", search_items, methods=["POST"]),
    Route("/store/namespaces", list_namespaces, methods=["POST"]),
]

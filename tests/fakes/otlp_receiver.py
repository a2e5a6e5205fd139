"""A receiver of traces, which reads OTLP/HTTP as it is written: protobuf, packed or not."""

from __future__ import annotations

import asyncio
import gzip
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from fakes.serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from opentelemetry.proto.trace.v1 import trace_pb2
    from starlette.requests import Request

_DEADLINE = 30.0


@dataclass(frozen=True)
class Span:
    """One span as it came; ids in hexadecimal, and "" for none."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    failed: bool
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...] = ()
    """Trace and span of each."""


@dataclass
class Receiver:
    """The spans that came, and the headers they came with."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    text: str = ""
    """All that came, as text."""
    elsewhere: str = ""
    """Where it points to instead of taking anything."""
    status: int = HTTPStatus.OK
    """What it answers; it takes nothing where that is an error."""
    arrived: int = 0
    """Requests, with those that wait for it to be `awake`."""
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    """Until then it takes what comes, and answers nothing."""

    async def _take(self, request: Request) -> Response:
        assert request.headers["content-type"] == "application/x-protobuf"
        self.arrived += 1
        await self.awake.wait()
        if self.elsewhere:
            return Response(status_code=308, headers={"location": self.elsewhere})
        if self.status != HTTPStatus.OK:
            return Response(status_code=self.status)
        body = await request.body()
        packed = request.headers.get("content-encoding") == "gzip"
        asked = ExportTraceServiceRequest.FromString(gzip.decompress(body) if packed else body)
        self.headers.append(dict(request.headers))
        self.text += str(asked)
        for resource in asked.resource_spans:
            about = _plain(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_span(about["service.name"], one) for one in scope.spans]
        answer = ExportTraceServiceResponse().SerializeToString()
        return Response(answer, media_type="application/x-protobuf")

    async def until(self, check: Callable[[list[Span]], bool]) -> list[Span]:
        """The spans, once they are as they should be."""
        deadline = time.monotonic() + _DEADLINE
        while not check(self.spans):
            assert time.monotonic() < deadline, [(span.service, span.name) for span in self.spans]
            await asyncio.sleep(0.05)
        return self.spans

    def one(self, service: str, name: str) -> Span:
        """The only span of a service that is called so."""
        (found,) = [span for span in self.spans if (span.service, span.name) == (service, name)]
        return found


@asynccontextmanager
async def otlp_receiver() -> AsyncIterator[Receiver]:
    """A receiver on a free loopback port."""
    receiver = Receiver()
    receiver.awake.set()
    async with serving(Starlette(routes=[Route("/v1/traces", receiver._take, methods=["POST"])])) as url:
        receiver.url = url
        yield receiver


def _span(service: str, span: trace_pb2.Span) -> Span:
    return Span(
        service,
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.kind,
        span.status.code == Status.STATUS_CODE_ERROR,
        _plain(span.attributes),
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}

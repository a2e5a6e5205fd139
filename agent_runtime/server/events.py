"""Events from outside, by the HTTP binding of CloudEvents 1.0, and those that a consumer did not take."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from agent_runtime.errors import InputError, NotFoundError, UnavailableError
from agent_runtime.events import binding
from agent_runtime.events.errors import MalformedEventError
from agent_runtime.events.event import Event
from agent_runtime.events.letters import DeadLetters
from agent_runtime.events.records import Entry, SealedLetter
from agent_runtime.resilience.subject import Subject
from agent_runtime.server.bodies import hold
from agent_runtime.server.problems import problem
from agent_runtime.server.wire import agent_of, number, principal_of, reply

if TYPE_CHECKING:
    from starlette.requests import Request

    from agent_runtime.agent import Agent
    from agent_runtime.events.assembly import Events
    from agent_runtime.events.records import Letter
    from agent_runtime.server.intake import Intake

_PAGE = 1000
_MOST = 1000
"""Events in a batch."""


async def receive_events(request: Request) -> Response:
    agent = agent_of(request)
    events = _events(agent)
    if agent.draining and not agent.store.durable:
        raise UnavailableError("the pod is about to end: send the request to another one")
    intake: Intake = request.app.state.intake
    body = await intake.read(request.stream())
    try:
        objects = binding.read(dict(request.headers), body)
        hold(request, objects)
        received = _events_of(objects, batch=binding.is_batch(request.headers))
    except MalformedEventError as error:
        events.log.refuse("malformed")
        about = {"attribute": error.attribute or None, "event": error.number}
        members = {name: value for name, value in about.items() if value is not None}
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), None, **members)
    except binding.UnknownFormatError as error:
        events.log.refuse("format")
        accept = {"accept": ", ".join(binding.MEDIA_TYPES)}
        return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, str(error), accept)
    owner = principal_of(request).owner
    for event in received:
        # Counted once, however often the same event comes.
        await agent.resilience.admit_event(Subject.of_owner(owner), Entry(event, owner).key)
        await events.log.append(event, owner)
    return reply({"accepted": len(received)}, HTTPStatus.ACCEPTED)


async def allow_webhook(request: Request) -> Response:
    """The handshake by which a sender asks whether its events are wanted; each event has to prove its sender anyway.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md#4-abuse-protection
    """
    agent = agent_of(request)
    _events(agent)
    headers = {"allow": "OPTIONS, POST", "accept-post": ", ".join(binding.MEDIA_TYPES)}
    if origin := request.headers.get("webhook-request-origin"):
        limits = agent.config.spec.rate_limits
        rate = str(limits.requests_per_minute) if limits else "*"
        headers |= {"webhook-allowed-origin": origin, "webhook-allowed-rate": rate}
    return Response(status_code=HTTPStatus.OK, headers=headers)


async def list_dead_letters(request: Request) -> Response:
    limit, consumer = number(request, "limit", 100, _PAGE), request.query_params.get("consumer")
    after = request.query_params.get("after", "")
    page = await _letters(request).page(principal_of(request), consumer, limit or _PAGE, after)
    return reply({"dead_letters": [_described(letter) for letter in page.letters], "next": page.next})


async def replay_dead_letter(request: Request) -> Response:
    await _letters(request).replay(principal_of(request), request.path_params["letter"])
    return Response(status_code=HTTPStatus.ACCEPTED)


async def replay_dead_letters(request: Request) -> Response:
    count, more = await _letters(request).replay_all(principal_of(request), _consumer(request))
    return reply({"replayed": count, "more": more}, HTTPStatus.ACCEPTED)


async def discard_dead_letter(request: Request) -> Response:
    await _letters(request).discard(principal_of(request), request.path_params["letter"])
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def discard_dead_letters(request: Request) -> Response:
    count, more = await _letters(request).discard_all(principal_of(request), _consumer(request))
    return reply({"discarded": count, "more": more})


def _events_of(objects: list[dict[str, Any]], *, batch: bool) -> list[Event]:
    """All events of a request; none is accepted where one of them is malformed."""
    if len(objects) > _MOST:
        raise MalformedEventError(f"a batch may have {_MOST} events: send more of them in another one")
    if not batch:
        return [Event.of_json(one) for one in objects]
    events = []
    for count, one in enumerate(objects):
        try:
            events.append(Event.of_json(one))
        except MalformedEventError as error:
            raise error.of_batch(count) from None
    return events


def _described(letter: Letter) -> dict[str, Any]:
    content: dict[str, Any] = (
        {"unreadable": letter.unreadable} if isinstance(letter, SealedLetter) else {"event": letter.entry.event.as_json}
    )
    return {
        "id": letter.id,
        "consumer": letter.consumer,
        "owner": letter.owner,
        **content,
        "error": letter.error,
        "attempts": letter.attempts,
        "accepted_at": letter.accepted_at,
        "died_at": letter.died_at,
    }


def _events(agent: Agent) -> Events:
    if agent.events is None or agent.config.spec.events is None:
        raise NotFoundError("this agent takes no events: its spec has no `events`")
    return agent.events


def _letters(request: Request) -> DeadLetters:
    agent = agent_of(request)
    if agent.events is None:
        raise NotFoundError("this agent has no events: its spec has neither `events` nor nodes that emit them")
    spec = agent.config.spec.events
    return DeadLetters(agent.events.log, spec.stewards.marks if spec and spec.stewards else ())


def _consumer(request: Request) -> str:
    if consumer := request.query_params.get("consumer"):
        return consumer
    raise InputError("say whose dead letters are meant, as ?consumer=sink/NAME or ?consumer=subscribe/NAME")


routes = [
    Route("/events", receive_events, methods=["POST"]),
    Route("/events", allow_webhook, methods=["OPTIONS"]),
    Route("/events/dead-letters", list_dead_letters, methods=["GET"]),
    Route("/events/dead-letters", discard_dead_letters, methods=["DELETE"]),
    Route("/events/dead-letters/replay", replay_dead_letters, methods=["POST"]),
    Route("/events/dead-letters/{letter}", discard_dead_letter, methods=["DELETE"]),
    Route("/events/dead-letters/{letter}/replay", replay_dead_letter, methods=["POST"]),
]

"""Telling the end of runs to whom the client named: at least once, also where the pod ends before."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import structlog

from agent_runtime import outbound
from agent_runtime.errors import CallError, CallErrorKind, InputError, UnavailableError
from agent_runtime.loops import Loop
from agent_runtime.runs.encode import dumps, plain
from agent_runtime.state.records import OWN_PREFIX, Hook, Run, now, shown

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from datetime import datetime

    import httpx

    from agent_runtime.metrics import Metrics
    from agent_runtime.spec.runs import WebhooksSpec
    from agent_runtime.state.store import Store

log = structlog.get_logger()

_POLL = 2.0
"""Seconds between looks for webhooks that no pod has sent; the end of a run here sends its own at once."""
_CALL_SECONDS = 10.0
_TAKEN = timedelta(seconds=30)
"""How long others leave a webhook to the pod that sends it: longer than a call. Where clocks differ, it comes twice."""
_ENDING = timedelta(seconds=5)
"""How long the end of a run may take to be written after its webhook was noted."""
_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(minutes=10)
_TRIES = 12
"""Over about an hour; then the webhook is given up."""
_AT_ONCE = 20
LARGEST = 4 << 20
"""Bytes of values that are sent. MongoDB keeps 16 MiB in a document, and some webhooks are read at once."""


@dataclass(frozen=True)
class Target:
    """Where to send something, and the proof that its receiver wants of the sender."""

    url: str
    headers: Mapping[str, str]


class Notifier(Protocol):
    """Has more to send when runs end."""

    async def hooks(self, run: Run, values: Any) -> list[Hook]:
        """What is to be sent when the run ends as it is given."""

    def content(self, hook: Hook) -> dict[str, Any] | None:
        """What is sent for one of its own; None for one of somebody else."""

    async def target(self, hook: Hook) -> Target | None:
        """Where one of its own goes; None where it is no longer wanted."""


class Webhooks:
    """Keeps what is to be sent with the state, and sends it; a part of the agent.

    The bodies are signed as https://www.standardwebhooks.com says, where the spec names a key.
    """

    def __init__(
        self,
        spec: WebhooksSpec,
        store: Store,
        http: httpx.AsyncClient,
        secrets: outbound.Secrets,
        *,
        metrics: Metrics,
        assistant_id: str,
        notifier: Notifier,
    ) -> None:
        self._spec = spec
        self._metrics = metrics
        self._assistant_id = assistant_id
        self._notifier = notifier
        self._store = store
        self._http = http
        self._secrets = secrets
        self._sending: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Nothing: the store makes what has to be there."""

    def start(self) -> None:
        """Begins to send what other pods left."""
        self._loop = asyncio.create_task(self._send_forever())

    @property
    def healthy(self) -> bool:
        """Whether it still looks for what is to be sent."""
        return self._loop is None or not self._loop.done()

    def drain(self) -> None:
        """Goes on: what is not sent here in time, another pod sends."""

    async def close(self) -> None:
        """Ends; what is being sent may be sent once more by another pod."""
        tasks = [task for task in (self._loop, *self._sending) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def note(self, run: Run, values: Any) -> list[Hook]:
        """Keeps what is to be sent when the run, which is given as it ends, has ended."""
        due = now() + _ENDING
        hooks = [replace(hook, due=due) for hook in await self._notifier.hooks(run, values)]
        if own := self._own(run, values, due):
            hooks.append(own)
        for hook in hooks:
            await self._store.add_hook(hook)
        return hooks

    def _own(self, run: Run, values: Any, due: datetime) -> Hook | None:
        url = run.request["body"].get("webhook")
        if not url:
            return None
        body = {
            "run_id": run.run_id,
            "thread_id": shown(run.thread_id),
            "assistant_id": self._assistant_id,
            "status": run.status,
            "metadata": {name: value for name, value in run.metadata.items() if not name.startswith(OWN_PREFIX)},
            "created_at": run.created_at,
            "updated_at": run.updated_at,
            "run_ended_at": run.updated_at,
            "error": run.error,
            "values": values,
        }
        if len(dumps(values)) > LARGEST:
            log.warning("a webhook is sent without values, which are too large", run_id=run.run_id)
            body["values"] = None
        return Hook(f"{run.run_id}:{run.epoch}", run.run_id, run.thread_id, run.epoch, url, plain(body), due)

    def send(self, run: Run, values: Any, hooks: list[Hook]) -> None:
        """Sends what was noted of a run that has ended, and what was asked for since; does not wait for that."""
        self._in_background(self._send(run, values, hooks))

    async def deliver(self, hook: Hook) -> None:
        """Keeps something that is to be sent now, and begins to send it."""
        await self._store.add_hook(hook)
        self._in_background(self._try(hook))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, run: Run, values: Any, hooks: list[Hook]) -> None:
        noted = {hook.hook_id for hook in hooks}
        with suppress(UnavailableError):
            late = [hook for hook in await self._notifier.hooks(run, values) if hook.hook_id not in noted]
            for hook in late:
                await self._store.add_hook(hook)
            hooks = [*hooks, *late]
        await asyncio.gather(*(self._try(hook) for hook in hooks))

    async def drop(self, hook: Hook) -> None:
        """Forgets a webhook whose run did not end so."""
        await self._store.remove_hook(hook)

    async def _send_forever(self) -> None:
        loop = Loop("webhooks")
        while True:
            await asyncio.sleep(_POLL)
            found: list[Hook] = []
            async with loop.turn():
                found = await self._store.due_hooks(now(), _AT_ONCE)
            for hook in found:
                async with loop.turn():
                    await self._send_if_ended(hook)

    async def _send_if_ended(self, hook: Hook) -> None:
        run = await self._store.run(hook.thread_id, hook.run_id)
        if run is not None and (run.active or run.epoch != hook.epoch):
            # Its pod died before it wrote the end; whoever goes on with the run notes it anew.
            await self.drop(hook)
        else:
            await self._try(hook)

    async def _try(self, hook: Hook) -> None:
        with suppress(UnavailableError):
            taken = await self._store.take_hook(hook, now() + _TAKEN)
            if taken is None:
                return
            try:
                await self._post(taken)
                result = "delivered"
            except CallError as error:
                again = outbound.pause(error, _LONGEST_PAUSE.total_seconds())
                # Each try counts twice: when it is taken, and when it is put off.
                tries = (taken.attempt + 1) // 2
                if again is not False and tries < _TRIES:
                    wait = _FIRST_PAUSE * 2**tries if again is True else timedelta(seconds=again)
                    await self._store.take_hook(taken, now() + min(wait, _LONGEST_PAUSE))
                    return
                log.warning("a webhook is given up", run_id=hook.run_id, attempts=tries, kind=str(error.kind))
                result = "given up"
            await self._store.remove_hook(taken)
            self._metrics.webhooks.labels(result).inc()

    async def _post(self, hook: Hook) -> None:
        headers, url = {"content-type": "application/json", "webhook-id": hook.hook_id}, hook.url
        if (told := self._notifier.content(hook)) is None:
            content = dumps({**hook.body, "webhook_sent_at": now()})
        elif (target := await self._notifier.target(hook)) is None:
            return
        else:
            headers, url, content = {**headers, **target.headers}, target.url, dumps(told)
        try:
            # Since it was kept, the spec may have changed.
            check_webhook(url, self._spec)
        except InputError as error:
            raise CallError(CallErrorKind.REFUSED, str(error)) from None
        if self._spec.signing_key_secret_ref is not None:
            key = self._secrets.read(self._spec.signing_key_secret_ref)
            headers |= signature(key.encode(), hook.hook_id, int(now().timestamp()), content)
        await outbound.request(
            self._http,
            "POST",
            url,
            what="the webhook",
            timeout=_CALL_SECONDS,
            headers=headers,
            content=content,
        )


def check_webhook(url: str, spec: WebhooksSpec | None) -> None:
    """Refuses a URL that the agent's spec does not name: clients choose it, and the pod sends from inside the cluster.

    Raises:
        InputError: It is of no origin that the spec allows.
    """
    try:
        parts = urlsplit(url)
        origin = (parts.scheme, parts.hostname, parts.port)
    except ValueError:
        raise InputError("`webhook` is no URL") from None
    allowed = [urlsplit(one) for one in spec.origins] if spec else []
    if parts.username or parts.password or origin not in [(one.scheme, one.hostname, one.port) for one in allowed]:
        told = ", ".join(spec.origins) if spec else "none"
        raise InputError(f"`webhook` must begin with an origin that the agent allows (`runs.webhooks.origins`): {told}")


def signature(key: bytes, identifier: str, timestamp: int, content: bytes) -> dict[str, str]:
    """The headers that prove who sent a webhook, and when."""
    signed = b"%b.%d.%b" % (identifier.encode(), timestamp, content)
    digest = b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{digest}"}

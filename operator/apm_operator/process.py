"""The operator's process: waits for its turn, then watches and works until a signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime

import structlog

from apm_operator import backups, metrics
from apm_operator import kube as api
from apm_operator.controller import Controller
from apm_operator.errors import ApiError, LeadershipLost, Rewound
from apm_operator.handlers import watching
from apm_operator.health import HealthServer
from apm_operator.kinds import AGENTS, OWNERS, WATCHED
from apm_operator.leader import Leader
from apm_operator.manifests.agent import TLS_PORT
from apm_operator.manifests.certificate import service_hosts
from apm_operator.pki.issuer import Issuer
from apm_operator.pki.keyring import KeyringBroken
from apm_operator.pki.own import OwnCertificates, operator_secret
from apm_operator.prometheus import Prometheus
from apm_operator.queue import WorkQueue
from apm_operator.reconcile import agentmetrics, backupmetrics, grants, reportmetrics
from apm_operator.reconcile.agentdeployment import Reconciler
from apm_operator.reconcile.anomalies import OFF, Anomalies
from apm_operator.reconcile.apiserver import ApiServer
from apm_operator.reconcile.backupplan import Looks
from apm_operator.reconcile.cache import Cache
from apm_operator.reconcile.certificates import Certificates
from apm_operator.reconcile.certmanager import CertManager
from apm_operator.reconcile.events import Events
from apm_operator.reconcile.keda import Keda
from apm_operator.reconcile.pauses import Pauses
from apm_operator.reconcile.plan import Images
from apm_operator.reconcile.prober import HttpProber
from apm_operator.reconcile.secrets import Secrets
from apm_operator.reconcile.services import Services
from apm_operator.reconcile.surroundings import Neighbours
from apm_operator.settings import Settings
from apm_operator.tokenreview import TokenReviewServer
from apm_operator.watches import WatchMonitor

_DEAF_SECONDS = 180.0
"""kopf reopens a watch that was silent for 70 s; one still silent after this long is beyond its help."""
_STUCK_SECONDS = 300.0
_ERROR_SHOWN = 1000
_POLLS_BETWEEN_LOOKS = 4
"""Certificates of cert-manager are looked at less often than the Secrets of agents: the kubelet is as slow."""

_log = structlog.stdlib.get_logger(__name__)


class Operator:
    """The parts of the operator, put together."""

    def __init__(self, settings: Settings, kube: api.Kube, stop: asyncio.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._leading = False
        self._kube = kube
        self._cache = Cache()
        self._queue = WorkQueue(asyncio.get_running_loop())
        self._secrets = Secrets(kube)
        self._services = Services(kube)
        self._api_server = ApiServer(kube, settings.network.api_server)
        self._prober = HttpProber()
        self._leader = Leader(kube, settings.operator_namespace, settings.name, settings.identity)
        self._issuer = Issuer(
            kube,
            settings.operator_namespace,
            f"{settings.name}-ca",
            life=settings.authority_seconds,
            overlap=settings.overlap_seconds,
        )
        certificates = Certificates(
            kube,
            self._issuer,
            CertManager(kube),
            settings.secrets_grant,
            issued_look=settings.secret_poll_seconds * _POLLS_BETWEEN_LOOKS,
        )
        self._own = OwnCertificates(
            kube,
            self._issuer,
            namespace=settings.operator_namespace,
            name=settings.name,
            hosts=service_hosts(settings.name, settings.operator_namespace),
            signers=certificates.signers,
        )
        certificates.signers.changed = self._own.look_again
        self._tokens = TokenReviewServer(kube, settings.operator_namespace, operator_secret(settings.name))
        self._prometheus = Prometheus(settings.prometheus)
        self._anomalies = Anomalies(self._prometheus, self._cache, self._queue.add, interval=settings.anomalies_seconds)
        self._monitor: WatchMonitor | None = None
        events, keda = Events(kube, settings.identity), Keda(kube)
        looks = Looks(self._secrets, self._services, self._api_server, settings.operator_namespace)
        self._controller = Controller(
            kube,
            self._cache,
            self._queue,
            {
                **backups.reconcilers(settings, kube, self._cache, looks, events, wake=self._queue.add),
                AGENTS.kind: Reconciler(
                    kube=kube,
                    cache=self._cache,
                    secrets=self._secrets,
                    neighbours=Neighbours(
                        settings.network,
                        self._cache.calls,
                        self._secrets,
                        self._services,
                        self._api_server,
                        certificates=certificates,
                        keda=keda,
                        token_review_url=f"https://{settings.name}.{settings.operator_namespace}.svc:{TLS_PORT}/tokenreviews",
                    ),
                    certificates=certificates,
                    events=events,
                    keda=keda,
                    prober=self._prober,
                    images=Images(
                        settings.runtime_image,
                        settings.runtime_image_pull_policy,
                        settings.image,
                        settings.image_pull_policy,
                    ),
                    grantable=grants.read(settings.grantable),
                    home=settings.operator_namespace,
                    rests=Pauses(self._cache, self._secrets).of_agent,
                    anomalous=self._anomalies.aspect if settings.prometheus.url else lambda _: OFF,
                    pressed=self._queue.pressed,
                ),
            },
            namespaces=settings.watch_namespaces,
            resync=settings.resync_seconds,
            concurrency=settings.concurrency,
        )

    async def run(self) -> None:
        """Serve health, wait for the lease and the CRDs, then work.

        Raises:
            LeadershipLost: the process must end.
            Rewound: likewise.
        """
        async with AsyncExitStack() as stack:
            health = HealthServer(self._live, self._ready, self._export)
            await health.start(self._settings.http_host, self._settings.http_port)
            stack.push_async_callback(health.stop)
            await self._tokens.start(self._settings.http_host, self._settings.https_port)
            stack.push_async_callback(self._tokens.stop)
            stack.push_async_callback(self._prober.close)
            stack.push_async_callback(self._prometheus.close)
            _log.info(
                "started",
                port=health.port,
                https=self._tokens.port,
                namespaces=self._settings.watch_namespaces or "all",
            )
            async with asyncio.TaskGroup() as group:
                group.create_task(_told(self._tokens.follow()))  # stand-bys answer agents as well
                if self._settings.leader_election:
                    await self._leader.acquire()
                    stack.push_async_callback(self._leader.release)
                    self._kube.set_gate(self._leader.remaining)
                    # From here on, for a list of a large cluster may take longer than the lease.
                    group.create_task(_told(self._leader.keep()))
                else:
                    metrics.LEADER.set(1)
                self._leading = True
                for kind in OWNERS:
                    await api.wait_until_served(self._kube, kind, _log.warning)
                # Before the watches: their own lists beside ours would take the memory twice.
                await self._controller.fill()
                with suppress(ApiError, KeyringBroken):  # `tend` tells of it, and tries again
                    await self._issuer.look()
                group.create_task(_told(self._issuer.tend(self._other_authorities)))
                group.create_task(_told(self._own.tend()))
                group.create_task(_told(self._controller.run()))
                for referred in (self._secrets, self._services, self._api_server):
                    group.create_task(_told(referred.poll(self._settings.secret_poll_seconds, self._controller.wake)))
                group.create_task(_told(self._watch()))
                if self._settings.prometheus.url:
                    group.create_task(_told(self._anomalies.watch()))

    def _other_authorities(self) -> None:
        """All agents are to trust them, and so are those who talk to the operator."""
        self._own.look_again()
        for key in self._cache:
            self._controller.wake(key)

    async def _watch(self) -> None:
        namespaces = self._settings.watch_namespaces
        monitor = self._monitor = WatchMonitor(
            (resource, namespace) for resource in WATCHED for namespace in (namespaces or (None,))
        )
        observe = watching.observer(self._cache, wake=self._controller.wake, wake_soon=self._controller.wake_soon)
        kind = monitor.response_class(self._cache.echoes, observe)
        handlers = watching.registry(server=self._kube.server, session=lambda: self._kube.session(kind))
        await watching.watch(handlers, namespaces)
        self._stop.set()  # kopf takes the signals for itself, and ends at one

    def _live(self) -> Mapping[str, str]:
        checks = {"queue": "", "watches": ""}
        stuck = max(self._queue.longest_pass(), self._queue.stalled())
        if stuck > _STUCK_SECONDS:
            checks["queue"] = f"No pass has begun or ended for {stuck:.0f} s"
        if self._monitor is not None:
            deaf = [
                f"{plural} {namespace}".strip()
                for (plural, namespace), age in self._monitor.ages().items()
                if age > _DEAF_SECONDS
            ]
            if deaf:
                checks["watches"] = f"No sign of life for {_DEAF_SECONDS:.0f} s: {', '.join(deaf)}"
        return checks

    def _ready(self) -> Mapping[str, str]:
        if not self._leading:
            return {"leader": ""}  # a stand-by is ready: it can take over
        opened = self._monitor is not None and self._monitor.all_open()
        return {
            "cache": "" if self._controller.synced else "The first listing is not over",
            "watches": "" if opened else "Not every watch is open",
        }

    def _export(self) -> None:
        self._controller.export()
        self._anomalies.export()
        agentmetrics.export(self._cache)
        backupmetrics.export(self._cache, datetime.now(UTC))
        reportmetrics.export(self._cache, datetime.now(UTC))
        if self._monitor is not None:
            self._monitor.export()


async def _told(work: Awaitable[None]) -> None:
    """Say at once what ends the process: its other parts take a while to come down."""
    try:
        await work
    except Exception as error:
        _log.error("A part of the operator has failed; the process ends", error=repr(error)[:_ERROR_SHOWN])
        raise


def _first(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


async def run(settings: Settings) -> int:
    """Run the operator.

    Returns:
        The exit status: 0 after SIGTERM or SIGINT, 1 where it has to be started anew.

    Raises:
        SettingsError: the API server can't be found or the credentials can't be used.
    """
    kube = await api.connect(settings.kubeconfig)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    work = asyncio.create_task(Operator(settings, kube, stop).run())
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((work, waiting), return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            _log.info("stopping")
            work.cancel()
            await asyncio.wait((work,), timeout=15)
            return 0
        await work
    except* LeadershipLost as lost:
        _log.error("Another process may lead now; this one ends", error=_first(lost))
    except* Rewound as rewound:
        _log.error("This process ends, to be started anew and learn what there is", error=_first(rewound))
    except* Exception:  # noqa: BLE001  the last line of defence: whatever it is, it is logged and the process ends
        _log.exception("The operator can't go on; it has to be started anew")
    finally:
        waiting.cancel()
        await kube.close()
    return 1

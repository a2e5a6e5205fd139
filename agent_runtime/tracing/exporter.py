"""Where spans go: by OTLP over HTTP. Loaded only where the spec has `tracing`."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import structlog
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from agent_runtime.tracing.spans import failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from agent_runtime.outbound import Secrets
    from agent_runtime.spec.tracing import TracingSpec
    from agent_runtime.tracing.metrics import TracingMetrics

log = structlog.get_logger()

_PATH = "/v1/traces"
"""https://opentelemetry.io/docs/specs/otlp/#otlphttp-request"""
_TIMEOUT = 10.0
"""Seconds for one batch, with all attempts."""


def build(spec: TracingSpec, secrets: Secrets, metrics: TracingMetrics) -> SpanExporter:
    """Sends to the receiver of the spec, and counts."""
    session = _Session()
    # No proxy and no .netrc of the environment, as for all calls that leave the pod.
    session.trust_env = False
    session.auth = _SecretHeaders(spec, secrets)
    address = spec.endpoint if urlsplit(spec.endpoint).path.strip("/") else spec.endpoint.rstrip("/") + _PATH
    authorities = str(spec.tls.ca_secret_ref.path(secrets.directory)) if spec.tls is not None else None
    inner = OTLPSpanExporter(
        address,
        certificate_file=authorities,
        headers=dict(spec.headers),
        timeout=_TIMEOUT,
        compression=Compression.Gzip,
        session=session,
    )
    return _Counted(inner, session, metrics)


class _Session(requests.Session):
    """Knows how the newest request went, which the exporter does not tell.

    No redirect is followed, and spans that were answered with one are lost: the exporter would take it for success.
    """

    went = ""
    _error: BaseException | None = None

    def request(self, *args: Any, **options: Any) -> requests.Response:
        """As the base class; raises for a redirect."""
        self.forget()
        try:
            response = super().request(*args, **options)
        except Exception as error:
            self.went, self._error = failure(error), error
            raise
        self.went = f"HTTP {response.status_code}"
        if HTTPStatus.MULTIPLE_CHOICES <= response.status_code < HTTPStatus.BAD_REQUEST:
            response.close()
            self._error = requests.HTTPError(self.went)
            raise self._error
        return response

    def forget(self) -> None:
        """Lets go of what the newest request raised.

        The exporter keeps it in a frame that its own traceback leads to: a cycle, and with it all spans of the batch,
        until Python looks for garbage, which it seldom does.
        """
        error, self._error = self._error, None
        while error is not None:
            error.__traceback__ = None
            error = error.__context__


class _SecretHeaders(requests.auth.AuthBase):
    """Adds the headers whose values are in Secrets, read at each request, so that a rotated one counts."""

    def __init__(self, spec: TracingSpec, secrets: Secrets) -> None:
        self._headers = spec.secret_headers
        self._secrets = secrets

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        for header in self._headers:
            request.headers[header.name] = self._secrets.line(header.secret_key_ref)
        return request


class _Counted(SpanExporter):
    """Counts what another exporter does, and tells once why it can't."""

    def __init__(self, inner: SpanExporter, session: _Session, metrics: TracingMetrics) -> None:
        self._inner = inner
        self._session = session
        self._metrics = metrics
        self._trouble = ""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """As the base class."""
        result = self._inner.export(spans)
        self._session.forget()
        sent = result is SpanExportResult.SUCCESS
        self._metrics.spans.labels("success" if sent else "error").inc(len(spans))
        trouble = "" if sent else self._session.went
        if trouble != self._trouble:
            self._trouble = trouble
            if sent:
                log.info("traces are sent again")
            else:
                log.warning("traces can't be sent and are lost", reason=trouble)
        return result

    def shutdown(self) -> None:
        """As the base class."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """As the base class."""
        return self._inner.force_flush(timeout_millis)

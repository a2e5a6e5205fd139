"""Asks a Prometheus, or whatever speaks its HTTP API (Thanos, Mimir, VictoriaMetrics)."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from apm_operator.errors import OperatorError

_QUOTING = (aiohttp.ClientResponseError, aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)
"""Errors whose words quote the answer, the headers of one that breaks off among it."""
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_ANSWER_LIMIT = 64 * 1024 * 1024
_SHOWN = 200
"""Characters of what the other side says; whoever answers there would else write into reports and statuses."""


class SourceError(OperatorError):
    """Prometheus gave no answer that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where Prometheus is.

    Attributes:
        url: without `/api/v1`; "" where there is none.
        token_file: file with a bearer token, read at each call since it may be renewed; "" for none.
        ca_file: file with the certificates of who may have signed Prometheus' own; "" for those of the system.
    """

    url: str = ""
    token_file: str = ""
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one series, as time (seconds since 1970) and value."""

    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...]


class Prometheus:
    """Makes queries, each with a deadline."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._session: aiohttp.ClientSession | None = None

    async def instant(self, query: str, time: float) -> list[Series]:
        """The value of each series at a time.

        Raises:
            SourceError: there is no answer that can be used.
        """
        return await self._ask("query", {"query": query, "time": f"{time:.3f}"})

    async def range(self, query: str, start: float, end: float, step: float) -> list[Series]:
        """The values from `start` to `end`, both included, `step` seconds apart.

        Raises:
            SourceError: there is no answer that can be used.
        """
        span = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return await self._ask("query_range", {"query": query, **span})

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, path: str, form: Mapping[str, str]) -> list[Series]:
        url = f"{self._source.url.rstrip('/')}/api/v1/{path}"
        try:
            session = self._open()
            async with session.post(url, data=form, headers=self._headers(), allow_redirects=False) as response:
                raw = await _read(response)
                if response.status != 200:  # noqa: PLR2004  OK
                    raise SourceError(f"{path}: HTTP {response.status}{_said(raw)}")
            return [_series(each) for each in json.loads(raw)["data"]["result"]]
        except _QUOTING as error:
            raise SourceError(f"{path}: the answer is not one of HTTP ({type(error).__name__})") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SourceError(f"{path}: {_plain(str(error)) or type(error).__name__}") from error
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise SourceError(f"{path}: the answer is not one of Prometheus ({type(error).__name__})") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            verify = ssl.create_default_context(cafile=self._source.ca_file) if self._source.ca_file else True
            connector = aiohttp.TCPConnector(ssl=verify)
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False, connector=connector)
        return self._session

    def _headers(self) -> dict[str, str]:
        if not self._source.token_file:
            return {}
        try:
            token = Path(self._source.token_file).read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:  # its own words would show the token
            raise SourceError("the bearer token is no text: set its Secret key to the token alone") from None
        return {"Authorization": f"Bearer {token}"}


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_chunked(65_536):
        size += len(part)
        if size > _ANSWER_LIMIT:
            raise SourceError(f"The answer has more than {_ANSWER_LIMIT} bytes")
        parts.append(part)
        await asyncio.sleep(0)
    return b"".join(parts)


def _said(raw: bytes) -> str:
    """What an error of Prometheus' API says; nothing of a page that is none."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return ""
    error = found.get("error") if isinstance(found, dict) else None
    return f": {_plain(error)}" if isinstance(error, str) and error.strip() else ""


def _plain(text: str) -> str:
    """One short line, without characters that show as others than they are."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text[: 10 * _SHOWN]).split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."


def _series(told: Mapping[str, Any]) -> Series:
    values = told["values"] if "values" in told else [told["value"]]
    return Series(told["metric"], tuple((float(time), float(value)) for time, value in values))

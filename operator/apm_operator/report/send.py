"""Sends a report to Slack, and by the integration communications as email."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from apm_operator.report.errors import ConfigError, SendError
from apm_operator.report.job import Mail, Slack

_TIMEOUT = aiohttp.ClientTimeout(total=30)
_SUBJECT, _BODY, _PAGE = 500, 20_000, 200_000
"""Characters that the integration takes: docs/integrations.openapi.json."""
_WORD = re.compile(rb"[a-z_]{1,64}")
"""What Slack says is wrong, such as `no_service`. Anything else may quote the address, which is the secret."""
_ANSWER = 65_536
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Email:
    """A report as an email: `text` for programs that show no HTML, `page` for the others."""

    subject: str
    text: str
    page: str


async def to_slack(slack: Slack, message: Mapping[str, Any]) -> None:
    """Post a message to the webhook.

    Raises:
        ConfigError: there is no address in the Secret.
        SendError: it was not taken; nothing of the address is told.
    """
    url = _secret(slack.url_file, "the address of the Slack webhook")
    if not url.startswith(("https://", "http://")):
        raise ConfigError("The Secret of the Slack webhook holds no address: it begins with https://")
    status, answer = await _post("Slack", url, message)
    if not _taken(status):
        told = f": {answer.decode()}" if _WORD.fullmatch(answer) else ""
        raise SendError(f"Slack has refused the report: HTTP {status}{told}", again=status in _AGAIN)


async def to_mail(mail: Mail, to: str, email: Email, key: str) -> None:
    """Send one email; the service is to send it once, however often it is asked with the same `key`.

    Raises:
        ConfigError: there is no key in the Secret.
        SendError: it was not taken.
    """
    headers = {"Idempotency-Key": key}
    if mail.api_key_file:
        headers["Authorization"] = f"Bearer {_secret(mail.api_key_file, 'the key of the integration communications')}"
    body = {"to": to, "subject": email.subject[:_SUBJECT], "body": _fitting(email.text)}
    if len(email.page) <= _PAGE:
        body["html"] = email.page
    who, url = "The integration communications", f"{mail.base_url.rstrip('/')}/emails"
    status, answer = await _post(who, url, body, headers, mail.ca_file)
    if not _taken(status):  # its body is not read: it may hold secrets
        raise SendError(f"{who} has refused the report: HTTP {status}", again=status in _AGAIN)
    if _outcome(answer) == "failed":
        raise SendError(f"{who} says that the email can't be delivered")


def _fitting(text: str) -> str:
    if len(text) <= _BODY:
        return text
    note = "\n\n(The rest is too long for an email: the log of the Job shows all of it.)\n"
    return text[: _BODY - len(note)].rpartition("\n")[0] + note


def _outcome(answer: bytes) -> str:
    try:
        return str(json.loads(answer).get("status"))
    except (ValueError, AttributeError):
        return ""


def _taken(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


async def _post(
    who: str, url: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None, ca_file: str = ""
) -> tuple[int, bytes]:
    """The status, and the beginning of the answer."""
    try:
        verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
        connector = aiohttp.TCPConnector(ssl=verify)
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False, connector=connector) as session,
            session.post(url, json=body, headers=headers, allow_redirects=False) as response,
        ):
            return response.status, await response.content.read(_ANSWER)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        # Its own words would show the address, which may be the secret.
        raise SendError(f"{who} can't be reached: {type(error).__name__}", again=True) from None


def _secret(file: str, what: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"Can't read {what}: {type(error).__name__}") from None

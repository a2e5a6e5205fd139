"""Files in messages, as what a model reads.

A file that comes with its bytes goes on as content of the message. Of one that is only named by an address, the address
goes on as text: the agent fetches nothing that a client names, and a tool of the workflow may.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent_runtime.a2a.errors import ContentTypeNotSupportedError, InvalidParamsError

if TYPE_CHECKING:
    from agent_runtime.a2a.protocol import Part

LARGEST = 512 << 10
"""Bytes of all files in a message; they become a part of the conversation and go to the model with each turn."""
_LONGEST_URL = 2048
_MEDIA_TYPE = re.compile(r"[a-z0-9][-a-z0-9.+]{0,126}/[a-z0-9][-a-z0-9.+]{0,126}")
_UNKNOWN = "application/octet-stream"
_AS_TEXT = {"application/json", "application/xml", "application/yaml"}


def block(part: Part) -> tuple[dict[str, Any], int]:
    """A block of content, as models with OpenAI's API take it, and how many bytes of a file are in it.

    Raises:
        A2AError: The file's type or address is none, or its bytes are not in base64.
    """
    media_type = part.media_type.partition(";")[0].strip().lower() or _UNKNOWN
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise ContentTypeNotSupportedError("message.parts: `mediaType` must be one such as image/png")
    name = "".join(each for each in part.filename if each.isprintable())[:255] or "file"
    if part.raw is None:
        return _text(f"File {name} ({media_type}): {_address(part.url or '')}"), 0
    content = _decoded(part.raw)
    if media_type.startswith("text/") or media_type in _AS_TEXT:
        try:
            return _text(f"File {name} ({media_type}):\n{content.decode()}"), len(content)
        except UnicodeDecodeError:
            raise ContentTypeNotSupportedError("message.parts: a file of text must be UTF-8") from None
    data = f"data:{media_type};base64,{b64encode(content).decode()}"
    if media_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": data}}, len(content)
    return {"type": "file", "file": {"filename": name, "file_data": data}}, len(content)


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _decoded(raw: str) -> bytes:
    # ProtoJSON takes both alphabets of base64, with and without padding.
    plain = raw.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (Base64Error, ValueError):
        raise InvalidParamsError("message.parts: `raw` must be in base64") from None


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and parts.hostname and not (parts.username or parts.password)
    except ValueError:
        fits = False
    if not fits or len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        raise InvalidParamsError("message.parts: `url` must be one with http or https, and without credentials")
    return url

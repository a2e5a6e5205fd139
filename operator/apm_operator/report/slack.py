"""A report as the message of a Slack webhook (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apm_operator.report.document import Document, Section
from apm_operator.report.plots import sparkline

_SECTION = 2900
"""Characters of a block; Slack takes 3,000."""
_HEADER = 150
_LINE, _LINES = 300, 15
_REST = 100
"""Characters for the line that tells how many are left out, the heading, and line breaks."""


def message(found: Document) -> dict[str, Any]:
    """The numbers that matter most, and what somebody should look at; tables don't fit a chat."""
    title = f"{found.title}: {found.subtitle}"
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": found.title[:_HEADER]}},
        {"type": "context", "elements": [_text(_safe(found.subtitle))]},
        _block(_bullets(found.facts)),
        _block("*To look at*\n" + _bullets(found.attention or ("Nothing that is known.",))),
    ]
    if plots := "\n".join(line for section in found.sections for line in _plots(section)):
        blocks.append(_block(plots))
    return {"text": _safe(title), "blocks": blocks}


def _plots(section: Section) -> Iterable[str]:
    for plot in section.plots:
        yield f"{_safe(plot.title)}: `{sparkline(plot.sums)}` (highest {_safe(plot.largest)})"


def _bullets(lines: tuple[str, ...]) -> str:
    """So many of the lines as fit, and how many there are beside them."""
    shown: list[str] = []
    for line in lines[:_LINES]:
        text = f"• {_safe(line[:_LINE])}"
        if sum(map(len, shown)) + len(text) > _SECTION - _REST:
            break
        shown.append(text)
    left = len(lines) - len(shown)
    return "\n".join([*shown, *([f"• and {left} more"] if left else [])])


def _block(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _text(text)}


def _text(text: str) -> dict[str, Any]:
    # Without `verbatim` Slack makes links of addresses, and calls of names that begin with @.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _safe(text: str) -> str:
    """Text of anybody's without Slack's own marks: `<!channel>` would call everybody."""
    line = " ".join(text.split())
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

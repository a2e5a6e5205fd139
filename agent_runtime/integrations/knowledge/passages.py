"""Documents in pieces that are long enough to say something, and short enough to be about one thing."""

from __future__ import annotations

LONGEST = 1200
"""Characters of a passage."""
_ENDS = ("\n\n", "\n", ". ", "? ", "! ", "; ", ", ", " ")
"""Where a text is cut, the best place first."""
_LEAST = LONGEST // 3
"""Characters before the cut, for a better place to be taken."""


def passages(text: str) -> list[str]:
    """The text in pieces of at most `LONGEST` characters, cut between paragraphs, sentences or words if it can be."""
    found = []
    rest = text.strip()
    while len(rest) > LONGEST:
        place = _cut(rest)
        found.append(rest[:place].strip())
        rest = rest[place:].strip()
    return [each for each in (*found, rest) if each]


def _cut(text: str) -> int:
    for end in _ENDS:
        place = text.rfind(end, _LEAST, LONGEST - len(end))
        if place >= 0:
            return place + len(end)
    return LONGEST

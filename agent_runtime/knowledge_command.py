"""Documents of an agent by the command line: `python -m agent_runtime knowledge load|list|remove`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from agent_runtime import command
from agent_runtime.errors import InputError
from agent_runtime.integrations.knowledge.base import EVERYBODY
from agent_runtime.integrations.knowledge.document import Document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_runtime.integrations.knowledge.base import KnowledgeBase
    from agent_runtime.settings import Settings

_AT_ONCE = 100
_LISTED = 1000
_TEXTS = {".md", ".txt"}


def main(arguments: list[str], settings: Settings) -> int:
    """Does what the arguments say, for documents that everybody finds; the exit code is 1 if that fails."""
    given = _parser().parse_args(arguments)
    return command.run(lambda agent: _do(given, agent.knowledge), settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agent_runtime knowledge", description="Documents that an agent looks things up in."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    load = commands.add_parser("load", help="keep documents, in place of those of the same ids")
    load.add_argument(
        "files",
        nargs="+",
        type=Path,
        help="`.md` and `.txt` files, one document each; any other is JSON Lines of id, text, title, source, metadata; "
        "`-` reads those from the standard input",
    )
    commands.add_parser("list", help="tell the ids and titles of documents")
    remove = commands.add_parser("remove", help="forget documents")
    remove.add_argument("ids", nargs="+")
    return parser


async def _do(given: argparse.Namespace, knowledge: KnowledgeBase) -> int:
    if given.command == "load":
        await _load(knowledge, _documents(given.files))
    elif given.command == "remove":
        for each in given.ids:
            await knowledge.remove(each, EVERYBODY)
    else:
        offset = 0
        while page := await knowledge.documents(None, _LISTED, offset):
            for each in page:
                _say(f"{each['id']}\t{each['title'] or ''}")
            offset += len(page)
    return 0


async def _load(knowledge: KnowledgeBase, documents: Iterable[Document]) -> None:
    waiting: list[Document] = []
    count = passages = 0
    for each in documents:
        waiting.append(each)
        if len(waiting) == _AT_ONCE:
            count, passages = count + len(waiting), passages + await knowledge.load(waiting, EVERYBODY)
            waiting.clear()
    passages += await knowledge.load(waiting, EVERYBODY)
    _say(f"loaded {count + len(waiting)} documents in {passages} passages")


def _documents(files: Iterable[Path]) -> Iterator[Document]:
    for file in files:
        if file.suffix in _TEXTS:
            yield _document(f"{file}", {"id": file.name, "title": file.stem, "text": file.read_text(encoding="utf-8")})
            continue
        with sys.stdin if str(file) == "-" else file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _document(f"{file}, line {number}", line)


def _document(where: str, given: str | dict[str, str]) -> Document:
    try:
        return Document.model_validate_json(given) if isinstance(given, str) else Document.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {f'{path}: ' if path else ''}{first['msg']}") from error


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")

"""What can be looked up."""

from __future__ import annotations

from pydantic import Field

from agent_runtime.integrations.backend import Client
from agent_runtime.integrations.operation import Answer, Arguments, Identifier, Metadata, Operation, Text

MOST_RESULTS = 50


class Search(Arguments):
    """A question to the documents."""

    query: Text = Field(description="What to look for, in words.")
    limit: int = Field(default=5, ge=1, le=MOST_RESULTS, description="Most results.")
    filter: Metadata = Field(
        default_factory=dict, max_length=8, description="Metadata that documents must have, such as a language."
    )
    account_id: Identifier | None = Field(default=None, description="Account in whose name it is asked.")


class Result(Answer):
    """A passage that fits the question."""

    id: str = Field(description="Id of the document.")
    text: str = Field(description="The passage.")
    score: float = Field(description="How well it fits; higher is better.")
    title: str | None = None
    source: str | None = Field(default=None, description="Where the document is from, such as an address.")
    metadata: Metadata = Field(default_factory=dict)


class Results(Answer):
    """The passages that fit best, the best first."""

    results: list[Result]


SEARCH = Operation(
    "knowledgeBase",
    "search",
    "POST",
    "/search",
    "Finds passages that answer a question.",
    Search,
    Results,
    changes=False,
)
OPERATIONS = (SEARCH,)


class KnowledgeBaseAgent(Client):
    """Looks things up."""

    async def search(
        self,
        query: str,
        *,
        limit: int = 5,
        filter: dict[str, str] | None = None,  # noqa: A002 - the word of the interface
        account_id: str | None = None,
    ) -> list[Result]:
        """The passages that fit best, the best first. Raises CallError."""
        given = {"query": query, "limit": limit, "filter": filter, "account_id": account_id}
        return (await self._do(SEARCH, given)).results

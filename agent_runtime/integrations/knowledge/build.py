from __future__ import annotations

from typing import TYPE_CHECKING

from agent_runtime.errors import ConfigError
from agent_runtime.integrations.knowledge.base import KnowledgeBase
from agent_runtime.integrations.knowledge.store import PassageStore

if TYPE_CHECKING:
    import httpx

    from agent_runtime.integrations.knowledge.embedding import Embedding
    from agent_runtime.outbound import Secrets
    from agent_runtime.resilience.assembly import Resilience
    from agent_runtime.spec.agent import AgentSpec
    from agent_runtime.state.connection import MongoConnection


def build(
    spec: AgentSpec,
    connection: MongoConnection,
    agent: str,
    http: httpx.AsyncClient,
    *,
    secrets: Secrets,
    resilience: Resilience,
) -> KnowledgeBase:
    """The knowledge base of the agent `namespace/name`. Raises ConfigError if its model is not in the spec."""
    return KnowledgeBase(PassageStore(connection, agent), _embedding(spec, http, secrets, resilience))


def _embedding(spec: AgentSpec, http: httpx.AsyncClient, secrets: Secrets, resilience: Resilience) -> Embedding:
    wanted = spec.integrations and spec.integrations.knowledge_base and spec.integrations.knowledge_base.embedding_model
    if not wanted:
        from agent_runtime.integrations.knowledge.hashing import HashingEmbedding  # noqa: PLC0415 - one of the two

        return HashingEmbedding()
    from agent_runtime.integrations.knowledge.embedding import ModelEmbedding  # noqa: PLC0415 - one of the two
    from agent_runtime.models.embeddings import OpenAIEmbeddings  # noqa: PLC0415 - likewise

    for model in spec.models:
        if model.name == wanted:
            guard = resilience.breakers.guard(f"model {model.name}", model.breaker)
            return ModelEmbedding(OpenAIEmbeddings(model, http, secrets, guard, resilience.budgets))
    raise ConfigError(f"there is no model {wanted} in spec.models: correct integrations.knowledgeBase.embeddingModel")

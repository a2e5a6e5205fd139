from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.integrations import OPERATIONS, IntegrationTool
from agent_runtime.spec.tool import ANY_ARGUMENTS, ToolSpec


def check_integrations(spec: AgentSpec) -> Iterator[Problem]:
    """A key goes to the address beside it, and the model that embeds texts is one with an endpoint."""
    if spec.integrations is None:
        return
    for name, integration in spec.integrations.items():
        if integration.api_key_secret_ref is not None and integration.base_url is None:
            yield Problem(
                f"integrations.{name}.apiKeySecretRef",
                "the key belongs to `baseURL`, which is missing: set it, or remove the key",
            )
    knowledge = spec.integrations.knowledge_base
    if knowledge is None or knowledge.embedding_model is None:
        return
    where = "integrations.knowledgeBase.embeddingModel"
    found = next((model for model in spec.models if model.name == knowledge.embedding_model), None)
    if knowledge.base_url is not None:
        yield Problem(where, "the service at `baseURL` has a search of its own: remove the model, or `baseURL`")
    elif found is None:
        yield Problem(
            where, f"there is no model `{knowledge.embedding_model}` in spec.models: correct the name or add it"
        )
    elif found.provider != "openai":
        yield Problem(where, f"model `{found.name}` is {found.provider}: name one with `provider: openai`")


def check_integration_tool(tool: ToolSpec, integration: IntegrationTool, where: str) -> Iterator[Problem]:
    """The operation exists, and the tool leaves its arguments to it."""
    known = OPERATIONS[integration.name]
    if integration.operation not in known:
        yield Problem(
            f"{where}.integration.operation",
            f"`{integration.name}` has no operation `{integration.operation}` (there are: {', '.join(known)}): "
            "correct the name",
        )
    if tool.parameters != ANY_ARGUMENTS:
        yield Problem(f"{where}.parameters", "the arguments are those of the operation: remove `parameters`")

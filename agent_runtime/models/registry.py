from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx
    from langchain_core.language_models.chat_models import BaseChatModel

    from agent_runtime.outbound import Secrets
    from agent_runtime.resilience.assembly import Resilience
    from agent_runtime.spec.model import ModelSpec


def build(
    specs: Iterable[ModelSpec], http: httpx.AsyncClient, secrets: Secrets, resilience: Resilience
) -> dict[str, BaseChatModel]:
    """The chat model of each spec, by name."""
    built = ((spec, _build(spec, http, secrets, resilience)) for spec in specs)
    models = {spec.name: _budgeted(model, spec, resilience) for spec, model in built}
    for name, model in models.items():
        model.name = name  # by which callbacks know it
    return models


def _budgeted(model: BaseChatModel, spec: ModelSpec, resilience: Resilience) -> BaseChatModel:
    if resilience.budgets is None:
        return model
    from agent_runtime.models.budgeted import BudgetedChatModel  # noqa: PLC0415 - only what the agent uses is loaded

    return BudgetedChatModel(inner=model, spec=spec, budgets=resilience.budgets)


def _build(spec: ModelSpec, http: httpx.AsyncClient, secrets: Secrets, resilience: Resilience) -> BaseChatModel:
    if spec.provider == "scripted":
        from agent_runtime.models.scripted import ScriptedChatModel  # noqa: PLC0415 - only what the agent uses is loaded

        return ScriptedChatModel.from_spec(spec)
    from agent_runtime.models.openai import OpenAIChatModel  # noqa: PLC0415 - likewise

    return OpenAIChatModel(
        spec=spec, http=http, secrets=secrets, guard=resilience.breakers.guard(f"model {spec.name}", spec.breaker)
    )

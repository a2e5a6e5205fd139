from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx
    from langchain_core.language_models.chat_models import BaseChatModel

    from agent_runtime.outbound import Secrets
    from agent_runtime.spec.model import ModelSpec


def build(specs: Iterable[ModelSpec], http: httpx.AsyncClient, secrets: Secrets) -> dict[str, BaseChatModel]:
    """The chat model of each spec, by name."""
    return {spec.name: _build(spec, http, secrets) for spec in specs}


def _build(spec: ModelSpec, http: httpx.AsyncClient, secrets: Secrets) -> BaseChatModel:
    if spec.provider == "scripted":
        from agent_runtime.models.scripted import ScriptedChatModel  # noqa: PLC0415 - only what the agent uses is loaded

        return ScriptedChatModel.from_spec(spec)
    from agent_runtime.models.openai import OpenAIChatModel  # noqa: PLC0415 - likewise

    return OpenAIChatModel(spec=spec, http=http, secrets=secrets)

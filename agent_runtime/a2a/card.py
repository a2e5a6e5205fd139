"""The agent card: what the agent is for, where it is called, and what proof callers bring."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from agent_runtime.a2a.protocol import LEGACY_VERSION, VERSION
from agent_runtime.spec.auth import AuthSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_runtime.spec.agent import RuntimeConfig

_TEXT = "text/plain"
_JSON = "application/json"
_ANY = "*/*"


def card(config: RuntimeConfig, url: str, *, extended: bool = False) -> dict[str, Any]:
    """The card, in the words of version 1.0 and beside them those of 0.3.

    `url` is where the agent takes JSON-RPC. The `extended` card is for callers that have shown who they are: it tells
    of the workflow what the card for everybody does not.
    """
    name, spec = config.agent.name, config.spec
    schemes = dict(_schemes(config))
    description = spec.description or f"The agent {name}."
    skills = [{"id": name, "name": name, "description": description, "tags": ["conversation"]}]
    if extended:
        skills += _skills(config)
    return {
        "name": name,
        "description": description,
        "version": _version(),
        "supportedInterfaces": [
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": VERSION},
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": LEGACY_VERSION},
        ],
        "capabilities": {
            "streaming": True,
            "pushNotifications": _calls_back(config),
            "extendedAgentCard": True,
        },
        "securitySchemes": schemes,
        "securityRequirements": _alternatives(config, [{"schemes": {one: {"list": []}}} for one in schemes]),
        "defaultInputModes": [_TEXT, _JSON, *([_ANY] if _converses(config) else [])],
        "defaultOutputModes": [_TEXT, _JSON],
        "skills": skills,
        "url": url,
        "preferredTransport": "JSONRPC",
        "protocolVersion": "0.3.0",
        "security": _alternatives(config, [{one: []} for one in schemes]),
        "supportsAuthenticatedExtendedCard": True,
    }


def _calls_back(config: RuntimeConfig) -> bool:
    return config.spec.runs is not None and config.spec.runs.webhooks is not None


def _converses(config: RuntimeConfig) -> bool:
    """Whether the agent has a conversation, to which files may be added; of a graph of one's own that is not known."""
    workflow = config.spec.workflow
    return workflow is not None and "messages" in workflow.state


def _skills(config: RuntimeConfig) -> Iterator[dict[str, Any]]:
    """What the workflow can do in the world."""
    spec = config.spec
    for flow in [*([spec.workflow] if spec.workflow else []), *spec.workflows]:
        for tool in flow.tools:
            yield {
                "id": f"tool/{tool.name}",
                "name": tool.name,
                "description": tool.description or f"The tool {tool.name}.",
                "tags": ["tool"],
            }
    for peer in sorted(config.peers):
        yield {
            "id": f"agent/{peer}",
            "name": peer,
            "description": f"Asks the agent {peer}.",
            "tags": ["agent"],
        }


def _schemes(config: RuntimeConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each scheme in the words of both versions."""
    auth = config.spec.auth or AuthSpec()
    if config.tls:
        told = {"description": "The certificate of another agent that may call this one."}
        yield "mutualTLS", {"mtlsSecurityScheme": told, "type": "mutualTLS", **told}
    if auth.api_keys:
        told = {"description": "A key of the caller's own.", "name": "X-Api-Key"}
        yield (
            "apiKey",
            {"apiKeySecurityScheme": {**told, "location": "header"}, "type": "apiKey", "in": "header", **told},
        )
    if auth.jwt or auth.service_accounts:
        told = {"scheme": "bearer", "bearerFormat": "JWT"}
        told["description"] = _bearer(auth)
        yield "bearer", {"httpAuthSecurityScheme": told, "type": "http", **told}


def _bearer(auth: AuthSpec) -> str:
    issuers = [issuer.issuer for issuer in auth.jwt]
    if auth.service_accounts:
        issuers.append(f"the cluster, for the audience {auth.service_accounts.audience}")
    return f"A token of {', or of '.join(issuers)}."


def _alternatives(config: RuntimeConfig, alternatives: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Any one of them is enough; where everybody is let in, none is needed."""
    anonymous = config.spec.auth is not None and config.spec.auth.anonymous
    return [] if anonymous else alternatives


def _version() -> str:
    try:
        return version("apm-operator")
    except PackageNotFoundError:
        return "0"

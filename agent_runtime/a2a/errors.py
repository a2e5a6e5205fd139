"""Errors of the protocol. Their codes and reasons are those of the specification, section 5.4."""

from __future__ import annotations

from typing import Any, ClassVar

from agent_runtime.errors import AgentError

_DOMAIN = "a2a-protocol.org"
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_LEGACY_CODES = range(-32007, -32000)
"""The protocol's own codes that version 0.3 knows."""
INTERNAL = -32603


class A2AError(AgentError):
    """A request that is answered with an error of JSON-RPC."""

    code: ClassVar[int] = INTERNAL
    reason: ClassVar[str] = "INTERNAL_ERROR"

    @property
    def body(self) -> dict[str, Any]:
        """The member `error` of the answer."""
        info = {"@type": _ERROR_INFO, "reason": self.reason, "domain": _DOMAIN, "metadata": {}}
        return {"code": self.code, "message": str(self), "data": [info]}

    @property
    def legacy_body(self) -> dict[str, Any]:
        """As `body`, for a client of version 0.3."""
        own = -32100 < self.code < -32000  # noqa: PLR2004 - the range that JSON-RPC leaves to servers
        code = self.code if not own or self.code in _LEGACY_CODES else INTERNAL
        return {"code": code, "message": str(self)}


class ParseError(A2AError):
    """The body is no JSON."""

    code = -32700
    reason = "PARSE_ERROR"


class InvalidRequestError(A2AError):
    """The body is no request of JSON-RPC 2.0."""

    code = -32600
    reason = "INVALID_REQUEST"


class MethodNotFoundError(A2AError):
    """There is no such method."""

    code = -32601
    reason = "METHOD_NOT_FOUND"


class InvalidParamsError(A2AError):
    """The parameters do not fit the method."""

    code = -32602
    reason = "INVALID_PARAMS"


class TaskNotFoundError(A2AError):
    """There is no such task of this caller."""

    code = -32001
    reason = "TASK_NOT_FOUND"


class TaskNotCancelableError(A2AError):
    """The task has ended."""

    code = -32002
    reason = "TASK_NOT_CANCELABLE"


class PushNotificationNotSupportedError(A2AError):
    """The agent does not call its clients."""

    code = -32003
    reason = "PUSH_NOTIFICATION_NOT_SUPPORTED"


class UnsupportedOperationError(A2AError):
    """What is asked for can't be done, or not with a task in this state."""

    code = -32004
    reason = "UNSUPPORTED_OPERATION"


class ContentTypeNotSupportedError(A2AError):
    """A part is of a kind that the agent does not take."""

    code = -32005
    reason = "CONTENT_TYPE_NOT_SUPPORTED"


class VersionNotSupportedError(A2AError):
    """The version of the protocol is not one of those spoken here."""

    code = -32009
    reason = "VERSION_NOT_SUPPORTED"

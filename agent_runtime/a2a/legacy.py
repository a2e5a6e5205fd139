"""Version 0.3 of the protocol, which many clients still speak: other names for methods, states and parts."""

from __future__ import annotations

from typing import Any

from agent_runtime.a2a.errors import InvalidParamsError

METHODS = {
    "message/send": "SendMessage",
    "message/stream": "SendStreamingMessage",
    "tasks/get": "GetTask",
    "tasks/cancel": "CancelTask",
    "tasks/resubscribe": "SubscribeToTask",
    "tasks/pushNotificationConfig/set": "CreateTaskPushNotificationConfig",
    "tasks/pushNotificationConfig/get": "GetTaskPushNotificationConfig",
    "tasks/pushNotificationConfig/list": "ListTaskPushNotificationConfigs",
    "tasks/pushNotificationConfig/delete": "DeleteTaskPushNotificationConfig",
    "agent/getAuthenticatedExtendedCard": "GetExtendedAgentCard",
}
"""The methods by their names in version 1.0."""

_ROLES = {"ROLE_USER": "user", "ROLE_AGENT": "agent"}


def params(given: dict[str, Any], method: str = "") -> dict[str, Any]:
    """The parameters of a method, which is named as in version 1.0, as that version has them.

    Raises:
        InvalidParamsError: A part has no known kind.
    """
    if "PushNotificationConfig" in method:
        return _push(given)
    if not isinstance(message := given.get("message"), dict):
        return given
    configuration = dict(given.get("configuration") or {})
    if not configuration.pop("blocking", True):
        configuration["returnImmediately"] = True
    if push := configuration.pop("pushNotificationConfig", None):
        configuration["taskPushNotificationConfig"] = _with_scheme(push) if isinstance(push, dict) else push
    parts = [_part(one) for one in message.get("parts") or [] if isinstance(one, dict)]
    known = {name: value for name, value in message.items() if value is not None}
    return {**given, "message": {**known, "parts": parts}, "configuration": configuration}


def result(method: str, value: dict[str, Any]) -> Any:
    """The result of a method of version 1.0."""
    match method:
        case "SendMessage" | "SendStreamingMessage" | "SubscribeToTask":
            return _event(value)
        case "GetTask" | "CancelTask":
            return _task(value)
        case "CreateTaskPushNotificationConfig" | "GetTaskPushNotificationConfig":
            return _legacy_push(value)
        case "ListTaskPushNotificationConfigs":
            return [_legacy_push(one) for one in value["configs"]]
        case "DeleteTaskPushNotificationConfig":
            return None
    return value


def _push(given: dict[str, Any]) -> dict[str, Any]:
    config = given.get("pushNotificationConfig")
    if not isinstance(config, dict):
        return {"taskId": given.get("id") or "", "id": given.get("pushNotificationConfigId") or ""}
    return {**_with_scheme(config), "taskId": given.get("taskId") or ""}


def _with_scheme(config: dict[str, Any]) -> dict[str, Any]:
    """Version 0.3 lists schemes, of which the sender takes one."""
    known = {name: value for name, value in config.items() if value is not None} | {"isLegacy": True}
    proof = known.get("authentication")
    if not isinstance(proof, dict):
        return known
    schemes = proof.get("schemes") or [""]
    return {**known, "authentication": {"scheme": schemes[0], "credentials": proof.get("credentials") or ""}}


def _legacy_push(config: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in config.items() if name != "taskId" and value != ""}
    if proof := told.get("authentication"):
        told["authentication"] = {"schemes": [proof["scheme"]], "credentials": proof["credentials"]}
    return {"taskId": config["taskId"], "pushNotificationConfig": told}


def _part(given: dict[str, Any]) -> dict[str, Any]:
    match given.get("kind"):
        case "text":
            return {"text": given.get("text")}
        case "data":
            return {"data": given.get("data")}
        case "file":
            return _file(given.get("file"))
    raise InvalidParamsError("message.parts: a part has the kind `text`, `data` or `file`")


def _file(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or ("bytes" in given) == ("uri" in given):
        raise InvalidParamsError("message.parts: a `file` has either `bytes` or `uri`")
    content = {"raw": given["bytes"]} if "bytes" in given else {"url": given["uri"]}
    return {**content, "mediaType": given.get("mimeType") or "", "filename": given.get("name") or ""}


def _event(value: dict[str, Any]) -> dict[str, Any]:
    if "task" in value:
        return _task(value["task"])
    if "statusUpdate" in value:
        told = {**value["statusUpdate"], "status": _status(value["statusUpdate"]["status"])}
        return {**told, "kind": "status-update", "final": told["status"]["state"] not in {"submitted", "working"}}
    told = value["artifactUpdate"]
    return {**told, "artifact": _with_parts(told["artifact"]), "kind": "artifact-update"}


def _task(task: dict[str, Any]) -> dict[str, Any]:
    legacy = {**task, "kind": "task", "status": _status(task["status"])}
    if "artifacts" in task:
        legacy["artifacts"] = [_with_parts(one) for one in task["artifacts"]]
    if "history" in task:
        legacy["history"] = [_message(one) for one in task["history"]]
    return legacy


def _status(status: dict[str, Any]) -> dict[str, Any]:
    state = str(status["state"]).removeprefix("TASK_STATE_").lower().replace("_", "-").replace("unspecified", "unknown")
    told = {**status, "state": state}
    return {**told, "message": _message(status["message"])} if "message" in status else told


def _message(message: dict[str, Any]) -> dict[str, Any]:
    return {**_with_parts(message), "kind": "message", "role": _ROLES[message["role"]]}


def _with_parts(value: dict[str, Any]) -> dict[str, Any]:
    return {**value, "parts": [_legacy_part(one) for one in value["parts"]]}


def _legacy_part(part: dict[str, Any]) -> dict[str, Any]:
    more = {"metadata": part["metadata"]} if "metadata" in part else {}
    if "text" in part:
        return {"kind": "text", "text": part["text"], **more}
    data = part["data"]
    return {"kind": "data", "data": data if isinstance(data, dict) else {"value": data}, **more}

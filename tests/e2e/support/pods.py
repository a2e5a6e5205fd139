"""Pods of the tests' own: they run Python and, where asked to, listen."""

from typing import Any

LISTEN = "import http.server as h; h.ThreadingHTTPServer(('', 8000), h.BaseHTTPRequestHandler).serve_forever()"
IDLE = "import signal; signal.pause()"


def python(name: str, image: str, script: str = IDLE) -> dict[str, Any]:
    """A pod that passes Pod Security `restricted` and has the label `app: NAME`."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "python",
                    "image": image,
                    "command": ["python3", "-c", script],
                    "ports": [{"name": "http", "containerPort": 8000}],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def service(name: str) -> dict[str, Any]:
    """A Service on port 80 for the pod of this name, which listens on its port `http`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": "http"}]},
    }

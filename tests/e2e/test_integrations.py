"""What agents look up and do elsewhere, with real pods: as the examples' first lines say."""

import json
from typing import Any

import yaml

from cluster.settings import REPOSITORY
from e2e.support import pods
from e2e.support.operator import Operator
from e2e.support.space import Space, say

_DOCUMENTS = {
    "hours": "We are open from 11:00 to 22:00, and closed on Mondays.",
    "parking": "Guests park behind the house, free of charge.",
}

# A CRM that keeps what it is sent, and tells it to who asks in the pod itself.
_CRM = """
import http.server, json

kept = []

class CRM(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kept.append([self.path, self.headers["authorization"], body])
        self.answer({"id": f"note-{len(kept)}", "kind": "note"})

    def do_GET(self):
        self.answer(kept)

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", 8000), CRM).serve_forever()
"""
_KEPT = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/').read().decode())"


def _example(name: str) -> dict[str, Any]:
    """An example's agent, for the namespace that it is applied to."""
    found: dict[str, Any] = yaml.safe_load((REPOSITORY / "examples" / f"{name}.yaml").read_text())
    del found["metadata"]["namespace"]
    return found


def test_documents_are_loaded_in_the_pod_and_found_by_runs(space: Space) -> None:
    space.apply(_example("house-guide"))
    space.ready("house-guide")
    command = ("exec", "-i", "deploy/house-guide", "--", "python3", "-m", "agent_runtime", "knowledge")
    lines = "\n".join(json.dumps({"id": name, "text": text}) for name, text in _DOCUMENTS.items())
    assert space.kubectl(*command, "load", "-", stdin=lines).strip() == "loaded 2 documents in 2 passages"
    assert space.kubectl(*command, "list").split() == ["hours", "parking"]
    with space.client("house-guide") as client:
        assert say(client, None, "Where may guests park?") == _DOCUMENTS["parking"]
        assert say(client, None, "When are you closed?") == _DOCUMENTS["hours"]


def test_records_are_kept_at_the_address_of_the_spec_or_of_the_environment(space: Space) -> None:
    """The fence opens for both, and the key comes from the Secret beside the address."""
    url = f"http://crm.{space.name}.svc/v1"
    by_spec, by_environment = _example("customer-records"), _example("customer-records")
    by_spec["spec"]["integrations"]["crm"]["baseURL"] = url
    by_environment["metadata"]["name"] = "by-environment"
    del by_environment["spec"]["integrations"]
    key = {"secretKeyRef": {"name": "integrations", "key": "other-key"}}
    by_environment["spec"]["env"] = [
        {"name": "CRM_API_URL", "value": url},
        {"name": "CRM_API_KEY", "valueFrom": key},
    ]
    secret = {"api-key": "key-of-the-spec", "other-key": "key-of-the-environment"}
    space.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "integrations"}, "stringData": secret},
        pods.python("crm", Operator(space.cluster).runtime_image(), _CRM),
        pods.service("crm"),
        by_spec,
        by_environment,
    )
    space.kubectl("wait", "--for=condition=Ready", "pod/crm", "--timeout=60s")
    space.ready("customer-records", "by-environment")
    for agent in ("customer-records", "by-environment"):
        with space.client(agent) as client:
            assert say(client, None, f"Miller called {agent}.") == "Noted."
    kept = json.loads(space.kubectl("exec", "crm", "--", "python3", "-c", _KEPT))
    assert [(path, key, body["text"]) for path, key, body in kept] == [
        ("/v1/notes", "Bearer key-of-the-spec", "Miller called customer-records."),
        ("/v1/notes", "Bearer key-of-the-environment", "Miller called by-environment."),
    ]

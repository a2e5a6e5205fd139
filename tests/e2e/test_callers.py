"""Callers with keys of their own: each has its own threads, and a new key counts without a restart. And with tokens."""

import json
import time

import httpx
import pytest

from e2e.support import pods
from e2e.support.manifests import agent, mongodb, secret
from e2e.support.operator import Operator
from e2e.support.space import Space
from e2e.support.waiting import until
from fakes.issuer import ISSUER, Issuer

_FIRST, _SECOND, _THIRD = ("alice-of-the-first-key", "bob-and-his-own-long-key", "alice-of-the-second-key")
_RUN = {
    "assistant_id": "agent",
    "input": {"messages": [{"role": "user", "content": "hello"}]},
    "if_not_exists": "create",
}


@pytest.fixture
def space_with_callers(space: Space) -> Space:
    """A namespace with an agent that two callers have keys for."""
    space.apply(secret("callers", alice=_FIRST, bob=_SECOND))
    space.apply(agent("host", state=mongodb(), auth={"apiKeys": {"secretRef": {"name": "callers"}}}))
    space.ready("host")
    return space


def test_each_caller_has_threads_of_its_own_and_a_new_key_restarts_nothing(space_with_callers: Space) -> None:
    space = space_with_callers
    (before,) = space.pods("host")
    with space.http("host") as http:
        for key in (_FIRST, _SECOND):
            answer = http.post("/threads/t1/runs/wait", json=_RUN, headers={"X-Api-Key": key})
            assert answer.status_code == 200
            assert len(answer.json()["messages"]) == 2
        assert _read(http, _SECOND).json()["metadata"]["apm_caller"] == {"account": "bob", "method": "apiKey"}
        assert http.delete("/threads/t1", headers={"X-Api-Key": _SECOND}).status_code == 204
        assert _read(http, _SECOND).status_code == 404
        assert _read(http, _FIRST).status_code == 200
        assert _read(http, "nobodys-key-is-this-one").status_code == 401

        space.apply(secret("callers", alice=_THIRD))
        until("the new key counts", lambda: _read(http, _THIRD).status_code, lambda code: code == 200, seconds=120)
        assert _read(http, _FIRST).status_code == 401
    (after,) = space.pods("host")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


# What an identity provider publishes of itself.
_PROVIDER = """
import http.server
class Keys(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write({keys!r})
http.server.ThreadingHTTPServer(("", 8000), Keys).serve_forever()
"""


def test_tokens_of_an_identity_provider_in_the_cluster_are_proof(space: Space) -> None:
    provider, stranger = Issuer(), Issuer()
    for issuer in (provider, stranger):
        issuer.make_key("first")
    image = Operator(space.cluster).runtime_image()
    script = _PROVIDER.format(keys=json.dumps(provider.key_set).encode())
    space.apply(pods.python("idp", image, script), pods.service("idp"))
    trusted = {"issuer": ISSUER, "jwksURL": f"http://idp.{space.name}.svc/keys", "audiences": ["apm"]}
    space.apply(agent("host", auth={"jwt": [trusted]}))
    space.ready("host")
    space.kubectl("wait", "--for=condition=Ready", "pod/idp", "--timeout=60s")

    with space.http("host") as http:

        def asked(token: str) -> httpx.Response:
            return http.post("/threads/t1/runs/wait", json=_RUN, headers={"Authorization": f"Bearer {token}"})

        # The way to the provider opens with the agent's policy, some moments after both.
        until(
            "a token counts", lambda: asked(provider.token("first")).status_code, lambda code: code == 200, seconds=60
        )
        read = http.get("/threads/t1", headers={"Authorization": f"Bearer {provider.token('first')}"})
        assert read.json()["metadata"]["apm_caller"]["account"] == "crm"
        other = http.get("/threads/t1", headers={"Authorization": f"Bearer {provider.token('first', sub='shop')}"})
        assert other.status_code == 404
        refused = {
            "of a stranger": stranger.token("first"),
            "for another": provider.token("first", aud="another"),
            "ended": provider.token("first", exp=time.time() - 60),
            "of another issuer": provider.token("first", iss="https://elsewhere.example.com"),
        }
        assert {why: asked(token).status_code for why, token in refused.items()} == dict.fromkeys(refused, 401)


def _read(http: httpx.Client, key: str) -> httpx.Response:
    return http.get("/threads/t1", headers={"X-Api-Key": key})

"""Certificates that come and go while agents work, and who is let in."""

import base64
import os
import ssl
import time
from collections.abc import Iterator

import httpx
import pytest

from apm_operator.pki import certificates
from apm_operator.pki.certificates import Leaf
from cluster import agents
from cluster.installation import OPERATOR_NAMESPACE, Installation
from e2e.support.manifests import agent
from e2e.support.operator import Operator
from e2e.support.space import Space, say
from e2e.support.traffic import traffic, wait_for_answers
from e2e.support.waiting import until

_RENEWALS = int(os.environ.get("APM_E2E_RENEWALS") or ("10" if os.environ.get("APM_SOAK") else "2"))
_SHORT = {"duration": "1m"}
_OVERLAP_SECONDS = 20
_AUTHORITY = "secret/apm-operator-ca"
_HOME = f"--namespace={OPERATOR_NAMESPACE}"
_JSON = {"Content-Type": "application/json"}
_ASK = '{"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hello"}]}}'


def _pair(space: Space) -> None:
    """Has an agent run that asks another for each answer, both with certificates that live for a minute."""
    ask = {"start": "ask", "nodes": [{"name": "ask", "uses": "agent", "with": {"ref": "back"}}]}
    front = agent("front", workflow=ask, tls=_SHORT)
    back = agent("back", reply="from behind", network=None, auth=None, tls=_SHORT)
    space.apply(back, front)
    space.ready("back", "front")


def _leaf(space: Space, name: str) -> Leaf:
    data = space.get("secret", f"{name}-tls")["data"]
    return certificates.read(base64.b64decode(data["tls.crt"]))


def _served(space: Space, name: str) -> Leaf:
    """The certificate that the agent shows now."""
    with space.cluster.cluster.reach(space.name, name, agents.PORT) as address:
        return certificates.read(ssl.get_server_certificate(address, timeout=10).encode())


def _reached(space: Space, name: str) -> Leaf:
    """The first certificate; the node may know a new Service a moment later than its agent is ready."""

    def look() -> Leaf | None:
        try:
            return _served(space, name)
        except OSError:  # nobody answers for an address that the node does not know yet, or it refuses
            return None

    found = until(f"{name} is reached", look, lambda leaf: leaf is not None, seconds=60)
    assert found is not None
    return found


def _uids(space: Space) -> list[tuple[str, int]]:
    found = [*space.pods("front"), *space.pods("back")]
    return [(pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in found]


@pytest.mark.timeout(300 + 60 * _RENEWALS)
def test_certificates_of_a_minute_are_renewed_under_load(space: Space, cluster: Installation) -> None:
    _pair(space)
    before = _uids(space)
    seen = {name: {_reached(space, name).ends} for name in ("front", "back")}
    with traffic(space, "front", Operator(cluster).runtime_image()) as report:
        began = time.monotonic()
        for _ in range(_RENEWALS):
            for name, ends in seen.items():
                newest = until(
                    f"a renewal of {name}",
                    lambda name=name: _served(space, name).ends,
                    lambda found, ends=ends: found not in ends,
                    seconds=75,
                )
                ends.add(newest)
            wait_for_answers(space, 5)
    took = time.monotonic() - began
    print(f"{sum(report.answers.values())} answers in {took:.0f} s, {len(report.errors)} errors")  # noqa: T201
    assert report.errors == []
    assert set(report.answers) == {"from behind"}
    assert _uids(space) == before


@pytest.fixture
def soon(cluster: Installation) -> Iterator[None]:
    """The next authority signs soon after it is known."""
    cluster.ensure_operator(f"certificates.overlapSeconds={_OVERLAP_SECONDS}")
    yield
    cluster.ensure_operator()


@pytest.mark.usefixtures("soon")
def test_another_authority_takes_over_under_load(space: Space, cluster: Installation) -> None:
    _pair(space)
    first = _leaf(space, "front").issuer
    before = _uids(space)
    with traffic(space, "front", Operator(cluster).runtime_image()) as report:
        asked = f"apm.valeo-neuroerp.com/rotate={time.time():.0f}"
        cluster.kubectl("annotate", _AUTHORITY, asked, "--overwrite", _HOME)
        until(
            "the next authority is trusted",
            lambda: agents.authorities(space.kubectl, "front").count("BEGIN CERTIFICATE"),
            lambda count: count > 1,
            seconds=60,
        )
        for name in ("front", "back"):
            until(
                f"{name} shows a certificate of it",
                lambda name=name: _served(space, name).issuer,
                lambda issuer: issuer != first,
                seconds=150,
            )
        wait_for_answers(space, 50)
    assert report.errors == []
    assert set(report.answers) == {"from behind"}
    assert _uids(space) == before


def test_who_brings_no_proof_is_refused(space: Space) -> None:
    space.apply(agent("desk"))
    space.ready("desk")
    with space.http("desk") as http:
        assert http.post("/runs/wait", content=_ASK, headers=_JSON).status_code == 401
        wrong = {"X-Api-Key": "x" * 32, **_JSON}
        assert http.post("/runs/wait", content=_ASK, headers=wrong).status_code == 401
        assert http.get("/metrics").status_code in (401, 403)
        assert http.get("/livez").status_code == 200
        with pytest.raises(httpx.TransportError):
            http.get(http.base_url.copy_with(scheme="http", path="/ok"))
    with space.client("desk") as client:
        assert say(client, None, "hello") == "You said: hello"


def test_only_agents_that_are_callers_are_let_in(space: Space) -> None:
    """With their own certificates, from this machine: the network would keep the stranger off as well."""
    _pair(space)
    space.apply(agent("stranger", network=None))
    space.ready("stranger")
    answers = {}
    for caller in ("front", "stranger"):
        with space.http("back", caller) as http:
            answers[caller] = http.post("/runs/wait", content=_ASK, headers=_JSON).status_code
    assert answers == {"front": 200, "stranger": 403}


def test_a_service_account_is_known_by_its_token(space: Space) -> None:
    allowed = {"serviceAccounts": {"allow": [f"{space.name}/clerk"]}}
    space.apply(agent("desk", auth=allowed))
    for account in ("clerk", "stranger"):
        space.kubectl("create", "serviceaccount", account)
    space.ready("desk")
    answers = {}
    with space.http("desk") as http:
        for account in ("clerk", "stranger"):
            token = space.kubectl("create", "token", account, "--audience=apm").strip()
            headers = {"Authorization": f"Bearer {token}", **_JSON}
            answers[account] = http.post("/runs/wait", content=_ASK, headers=headers).status_code
    assert answers == {"clerk": 200, "stranger": 403}

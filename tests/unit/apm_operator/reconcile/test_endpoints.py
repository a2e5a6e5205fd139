"""Hosts and ports out of specs, and nothing else out of Secrets."""

import pytest

from apm_operator.api.agentdeployment import AgentDeployment
from apm_operator.reconcile import endpoints
from apm_operator.reconcile.endpoints import Endpoint, ServiceName, of_mongodb_uri
from unit.apm_operator.agents import WORKFLOW, body


def test_models_tools_of_all_workflows_and_identity_providers():
    def tool(name: str, url: str) -> dict[str, object]:
        return {"name": name, "http": {"url": url}}

    model = {"provider": "openai", "model": "m"}
    spec = AgentDeployment.parse(
        body(
            models=[
                model | {"name": "default", "baseURL": "https://LLM.example/v1"},
                model | {"name": "near", "baseURL": "http://[fd00::7]:8000/v1"},
            ],
            workflow=WORKFLOW | {"tools": [tool("crm", "http://crm:8080/{id}?q={q}")]},
            auth={"jwt": [{"issuer": "us", "jwksURL": "http://idp.id.svc/keys", "audiences": ["apm"]}]},
            workflows=[{"name": "sub", **WORKFLOW, "tools": [tool("odd", "http://odd:http/")]}],
        )
    ).spec
    assert endpoints.of_spec(spec) == (
        Endpoint("crm", 8080, "tool crm"),
        Endpoint("fd00::7", 8000, "model near"),
        Endpoint("idp.id.svc", 80, "keys of us"),
        Endpoint("llm.example", 443, "model default"),
        Endpoint("odd", 0, "tool odd"),
    )


@pytest.mark.parametrize(
    ("uri", "hosts"),
    [
        ("mongodb://db", [("db", 27017)]),
        ("mongodb://user:pass@db:1/name?replicaSet=rs", [("db", 1)]),
        ("mongodb://u:p%40%2F@a.b.svc:1,c:2,[fd00::1]:3,[fd00::2]/", [("a.b.svc", 1), ("c", 2), ("fd00::1", 3)]),
        ("mongodb+srv://user:pass@cluster.example/?tls=true", [("cluster.example", 0)]),
        ("mongodb://10.0.0.7?x=1", [("10.0.0.7", 27017)]),
    ],
)
def test_hosts_of_a_connection_string(uri: str, hosts: list[tuple[str, int]]):
    found = [(each.host, each.port) for each in of_mongodb_uri(uri)]
    assert set(hosts) <= set(found)
    assert {each.purpose for each in of_mongodb_uri(uri)} == {"MongoDB"}


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "mongodb",
        "mongodb:db",
        "http://db",
        "mongodb://",
        "mongodb://user:geheim/or?t@db",  # a password that is not escaped, of which a part would pass for a host
        "mongodb://user:geheim",
        "mongodb://db:geheim@",
        "mongodb://db:0",
        "mongodb://db:65536",
        "mongodb://db,",
        "mongodb://%2Ftmp%2Fsocket",
        "mongodb://ge heim",
        "mongodb://[geheim]",
    ],
)
def test_what_is_no_connection_string_tells_nothing(uri: str):
    with pytest.raises(ValueError, match=r".+") as error:
        of_mongodb_uri(uri)
    assert "heim" not in str(error.value)


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("llm", [("shop", "llm")]),
        ("llm.models", [("models", "llm"), ("shop", "models")]),
        ("db-0.db.data", [("data", "db")]),
        ("llm.models.svc", [("models", "llm")]),
        ("LLM.models.svc.cluster.local.", [("models", "llm")]),
        ("db-0.db.data.svc", [("data", "db")]),
        ("db-0.db.data.svc.cluster.local", [("data", "db")]),
        ("api.eu.example.com", []),
    ],
)
def test_services_that_a_name_may_stand_for(host: str, names: list[tuple[str, str]]):
    assert endpoints.services(host, "shop") == tuple(ServiceName(*each) for each in names)
    assert endpoints.only_inside(host) == (host == "llm" or ".svc" in host)


def test_addresses_and_the_pod_itself():
    assert endpoints.address("10.0.0.7") == "10.0.0.7/32"
    assert endpoints.address("fd00::7") == "fd00::7/128"
    assert endpoints.address("db") is None
    assert all(endpoints.is_loopback(host) for host in ("localhost", "127.0.0.2", "::1"))
    assert not any(endpoints.is_loopback(host) for host in ("db", "10.0.0.7"))

"""Hosts and ports out of specs, and nothing else out of Secrets."""

import pytest

from apm_operator.api.agentdeployment import AgentDeployment
from apm_operator.reconcile import endpoints
from apm_operator.reconcile.endpoints import Endpoint, ServiceName, of_mongodb_uri
from apm_operator.reconcile.plan import peers
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
            mcpServers=[{"name": "tickets", "url": "http://tickets.shop.svc:8000/mcp"}],
            redis={"host": "Valkey.redis.svc", "port": 6380},
            tracing={"endpoint": "http://otel-collector.monitoring.svc:4318"},
            runs={"webhooks": {"origins": ["https://hooks.example"]}},
            auth={"jwt": [{"issuer": "us", "jwksURL": "http://idp.id.svc/keys", "audiences": ["apm"]}]},
            workflows=[{"name": "sub", **WORKFLOW, "tools": [tool("odd", "http://odd:http/")]}],
        )
    ).spec
    assert endpoints.of_spec(spec) == (
        Endpoint("Valkey.redis.svc", 6380, "Redis"),
        Endpoint("crm", 8080, "tool crm"),
        Endpoint("fd00::7", 8000, "model near"),
        Endpoint("hooks.example", 443, "webhooks"),
        Endpoint("idp.id.svc", 80, "keys of us"),
        Endpoint("llm.example", 443, "model default"),
        Endpoint("odd", 0, "tool odd"),
        Endpoint("otel-collector.monitoring.svc", 4318, "traces"),
        Endpoint("tickets.shop.svc", 8000, "MCP server tickets"),
    )


def test_integrations_of_the_spec_and_of_its_environment():
    spec = AgentDeployment.parse(
        body(
            integrations={"crm": {"baseURL": "https://crm.example/v1"}, "communications": {"timeout": "5s"}},
            env=[
                {"name": "COMMUNICATIONS_API_URL", "value": "http://messages.shop.svc:8000/api"},
                {"name": "CRM_API_URL", "value": "http://passed-over"},
                {"name": "INTEGRATION_API_URL", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "KNOWLEDGE_BASE_API_URL", "value": "no address"},
            ],
            workflow=WORKFLOW | {"tools": [{"name": "t", "integration": {"name": "crm", "operation": "create_note"}}]},
        )
    ).spec
    assert endpoints.of_spec(spec) == (
        Endpoint("crm.example", 443, "integration crm"),
        Endpoint("messages.shop.svc", 8000, "integration communications"),
    )


def test_agents_outside_of_all_workflows():
    def asks(name: str, **params: object) -> dict[str, object]:
        return {"name": name, "uses": "agent", "with": params}

    flow = {"start": "near", "nodes": [asks("near", ref="other"), asks("far", url="https://agents.example/weather")]}
    sub = {"name": "sub", "start": "odd", "nodes": [asks("odd", url="http://partner.team.svc:9000")]}
    spec = AgentDeployment.parse(body(workflow=flow, workflows=[sub])).spec
    assert endpoints.of_spec(spec) == (
        Endpoint("agents.example", 443, "agent of node far"),
        Endpoint("partner.team.svc", 9000, "agent of node odd"),
    )
    assert peers(spec) == ["other"]


def test_sinks_are_opened_where_they_are_outside():
    sinks = [
        {"name": "hooks", "url": "https://hooks.example/events"},
        {"name": "broker", "url": "http://broker.knative.svc/shop"},
        {"name": "bar", "agent": "bar"},
    ]
    spec = AgentDeployment.parse(body(events={"sinks": sinks})).spec
    assert endpoints.of_spec(spec) == (
        Endpoint("broker.knative.svc", 80, "sink broker"),
        Endpoint("hooks.example", 443, "sink hooks"),
    )
    assert peers(spec) == ["bar"]


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

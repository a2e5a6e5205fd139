"""Which endpoints a policy opens, and what is said of the others."""

from typing import Any

import pytest

from apm_operator.api.network import Network
from apm_operator.manifests.networkpolicy import Target
from apm_operator.reconcile import reach
from apm_operator.reconcile.endpoints import Endpoint, ServiceName
from apm_operator.reconcile.reach import Reach
from apm_operator.reconcile.services import Found, Service

LLM = Service(labels=(("app", "llm"),), ports=((8000, ("http",)),))


def resolve(host: str, port: int = 8000, found: dict[ServiceName, Found] | None = None, **network: Any) -> Reach:
    wanted = [Endpoint(host, port, "model default")]
    return reach.resolve(wanted, "shop", found or {}, Network.model_validate(network))


@pytest.mark.parametrize("host", ["llm.models", "llm.models.svc", "llm.models.svc.cluster.local"])
def test_a_service_becomes_its_selector(host: str):
    found = resolve(host, found={ServiceName("models", "llm"): LLM})
    assert found == Reach((Target(("http",), "models", (("app", "llm"),)),))


def test_a_pod_of_a_service_nearby():
    headless = Service(labels=(("app", "db"),), any_port=True)
    found = resolve("db-0.db", 27017, {ServiceName("shop", "db"): headless, ServiceName("db", "db-0"): "missing"})
    assert found == Reach((Target((27017,), "shop", (("app", "db"),)),))


def test_an_address_becomes_a_block_and_the_pod_itself_nothing():
    assert resolve("192.0.2.7") == Reach((Target((8000,), cidrs=("192.0.2.7/32",)),))
    assert resolve("fd00::7") == Reach((Target((8000,), cidrs=("fd00::7/128",)),))
    assert resolve("localhost") == Reach()


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "168.63.129.16", "100.100.100.200", "fd00:ec2::254"],  # noqa: S104
)
def test_a_url_alone_opens_no_special_address(host: str):
    reached = resolve(host, 80)
    assert reached.targets == ()
    assert "on purpose" in reached.unknown[0]
    block = f"{host}/128" if ":" in host else f"{host}/32"
    assert resolve(host, 80, egressTo=[{"cidr": block}]) == Reach()


@pytest.mark.parametrize("host", ["::ffff:169.254.169.254", "::ffff:a9fe:a9fe"])
def test_nor_does_one_that_hides_it_in_ipv6(host: str):
    assert resolve(host, 80).targets == ()
    assert resolve("::ffff:192.0.2.7") == resolve("192.0.2.7")


@pytest.mark.parametrize(
    ("host", "found", "told"),
    [
        ("llm", {}, "Service llm in namespace shop does not exist: make it"),
        ("llm.models.svc", {ServiceName("models", "llm"): "forbidden"}, "may not be read by the operator"),
        ("llm.models.svc", {ServiceName("models", "llm"): Service(labels=LLM.labels)}, "has no port 8000"),
        ("api.example.com", {}, "api.example.com is no Service"),
        ("api.example.com", {ServiceName("com", "example"): "forbidden"}, "api.example.com is no Service"),
        ("llm", {ServiceName("shop", "llm"): Service(external="llm.example")}, "llm.example is no Service"),
    ],
)
def test_what_can_not_be_opened_is_told(host: str, found: dict[ServiceName, Found], told: str):
    reached = resolve(host, found=found)
    assert reached.targets == ()
    assert len(reached.unknown) == 1
    assert reached.unknown[0].startswith("model default: ")
    assert told in reached.unknown[0]
    assert "spec.network." in reached.unknown[0]


@pytest.mark.parametrize(
    "network",
    [
        {"allowInternet": True},
        {"egressTo": [{"cidr": "192.0.2.0/24"}]},
        {"egressTo": [{"cidr": "192.0.2.0/24", "ports": [443, 8000]}]},
        {"egressTo": [{"cidr": "192.0.2.0/24", "ports": ["8000/TCP"]}]},
    ],
)
def test_what_the_spec_opens_by_itself_is_settled(network: dict[str, Any]):
    assert resolve("api.example.com", **network) == Reach()


def test_a_block_for_another_port_settles_nothing():
    for ports in ([443], ["8000/UDP"]):
        assert resolve("api.example.com", egressTo=[{"cidr": "192.0.2.0/24", "ports": ports}]).unknown


def test_pods_opened_by_their_labels_settle_a_service_that_can_not_be_read():
    peer = {"podSelector": {"matchLabels": {"app": "llm"}}}
    forbidden: dict[ServiceName, Found] = {ServiceName("models", "llm"): "forbidden"}
    for host in ("llm.models", "llm.models.svc"):
        assert resolve(host, found=forbidden) != Reach()
        assert resolve(host, found=forbidden, egressTo=[peer]) == Reach()
    assert resolve("api.example.com", egressTo=[peer]).unknown


def test_a_dns_record_srv_can_not_be_looked_up():
    assert "allowInternet" in resolve("cluster.example", 0).unknown[0]
    assert reach.names([Endpoint("cluster.example", 0, "MongoDB")], "shop") == set()


def test_only_names_are_looked_up():
    wanted = [Endpoint(host, 80, "tool x") for host in ("10.0.0.7", "localhost", "crm")]
    assert reach.names(wanted, "shop") == {ServiceName("shop", "crm")}

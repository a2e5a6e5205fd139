"""The setting APM_NETWORK."""

import pytest

from apm_operator import network
from apm_operator.errors import SettingsError
from apm_operator.network import Pods


def test_without_it_names_are_resolved_in_kube_system():
    (peer,) = network.read("").dns.peers()
    assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}
    assert network.read("{}") == network.read("")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nonsense", "Invalid JSON"),
        ('{"dns": {"cidrs": ["10.0.0.1/8"]}}', "dns.cidrs.0"),
        ('{"dns": {"cidr": []}}', "dns.cidr"),
        ('{"apiServer": {"port": 0}}', "apiServer.port"),
    ],
)
def test_what_can_not_be_read_is_told(text: str, told: str):
    with pytest.raises(SettingsError, match="APM_NETWORK can't be read") as error:
        network.read(text)
    assert told in str(error.value)


def test_an_empty_selector_means_all_and_none_means_nobody():
    assert Pods(namespace_selector={}).peers() == [{"namespaceSelector": {}}]
    assert Pods().peers() == []

"""What the models refuse beyond the CRD's own rules."""

from typing import Any

import pytest
from pydantic import ValidationError

from apm_operator.api.network import Network


@pytest.mark.parametrize(
    ("peer", "told"),
    [
        ({"cidr": "10.0.0.7/8"}, "host bits"),
        ({"cidr": "10.0.0.0/8", "except": ["192.168.0.0/16"]}, "no part of 10.0.0.0/8"),
        ({"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}, "no part of 10.0.0.0/8"),
        ({"cidr": "10.0.0.0/8", "except": ["fd00::/64"]}, "no part of 10.0.0.0/8"),
        ({"cidr": "0.0.0.0/0"}, "allowInternet"),
        ({"cidr": "128.0.0.0/1"}, "allowInternet"),
        ({"cidr": "::/0"}, "allowInternet"),
        ({"cidr": "::/16"}, "allowInternet"),
        ({"cidr": "2600::/12"}, "allowInternet"),
        ({"cidr": "64:ff9b::/96"}, "allowInternet"),
        ({"cidr": "::ffff:0:0/96"}, "block of IPv4"),
        ({"cidr": "::ffff:10.0.0.0/104"}, "block of IPv4"),
        ({"cidr": "10.0.0.0/8", "ports": [0]}, "ports"),
        ({"cidr": "10.0.0.0/8", "ports": [True]}, "ports"),
        ({"cidr": "10.0.0.0/8", "ports": ["443/HTTP"]}, "ports"),
    ],
)
@pytest.mark.parametrize("field", ["ingressFrom", "egressTo"])
def test_refuses(field: str, peer: dict[str, Any], told: str):
    with pytest.raises(ValidationError, match=told):
        Network.model_validate({field: [peer]})


def test_numbers_and_texts_are_ports():
    network = Network.model_validate({"egressTo": [{"podSelector": {}, "ports": [443, "53/UDP"]}]})
    assert network.egress_to[0].ports == ("443", "53/UDP")


def test_the_internet_is_opened_on_purpose():
    assert Network.model_validate({"allowInternet": True, "egressTo": [{"cidr": "0.0.0.0/0"}]})


@pytest.mark.parametrize("block", ["10.0.0.0/8", "fc00::/7", "fd00::/8", "2001:db8::/32", "64:ff9b::a00:0/104"])
def test_private_networks_and_those_of_one_party_need_no_internet(block: str):
    assert Network.model_validate({"egressTo": [{"cidr": block}]})

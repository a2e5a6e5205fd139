from __future__ import annotations

import pytest

from agent_runtime.spec.identity import OPERATOR_URI, SCRAPER_URI, agent_of, agent_uri


def test_an_agents_uri_names_it():
    assert agent_uri("shop", "clerk") == "spiffe://apm.valeo-neuroerp.com/ns/shop/agent/clerk"
    assert agent_of(agent_uri("shop", "clerk")) == "shop/clerk"


@pytest.mark.parametrize(
    "uri",
    [
        OPERATOR_URI,
        SCRAPER_URI,
        "",
        "spiffe://elsewhere.com/ns/shop/agent/clerk",
        "spiffe://apm.valeo-neuroerp.com/ns/shop/agent/",
        "spiffe://apm.valeo-neuroerp.com/ns//agent/clerk",
        "spiffe://apm.valeo-neuroerp.com/ns/shop/agent/clerk/ns/other",
        "spiffe://apm.valeo-neuroerp.com/ns/shop/agent/clerk/x",
        "spiffe://apm.valeo-neuroerp.com/agent/clerk/ns/shop",
        "ns/shop/agent/clerk",
    ],
)
def test_other_uris_name_no_agent(uri):
    assert agent_of(uri) is None

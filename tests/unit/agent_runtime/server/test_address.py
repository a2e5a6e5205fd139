"""Which address the A2A card tells."""

import httpx
import pytest
from a2a.client import A2ACardResolver

from fakes.agents import CHAT, ECHO, running

SPEC = {"models": [ECHO], "workflow": CHAT}
OUTSIDE = {"url": "https://agents.example.com/front-desk/"}
CASES = {
    "the name of the Service": ({}, "tested.tests.svc:8443", "http://tested.tests.svc:8443"),
    "with the cluster's domain": ({}, "tested.tests.svc.cluster.local", "http://tested.tests.svc.cluster.local"),
    "a forwarded port": ({}, "localhost:1234", "http://localhost:1234"),
    "somebody else's name": ({}, "evil.example", "http://tested.tests.svc:PORT"),
    "a name that begins as the Service's": ({}, "tested.tests.svc-evil.example", "http://tested.tests.svc:PORT"),
    "no name": ({}, "evil/x", "http://tested.tests.svc:PORT"),
    "a name that the spec knows": ({"hosts": ["front.example"]}, "Front.example:81", "http://Front.example:81"),
    "the address of the spec": (OUTSIDE, "tested.tests.svc", "https://agents.example.com/front-desk"),
    "whatever the client says": (OUTSIDE, "evil.example", "https://agents.example.com/front-desk"),
}


@pytest.mark.parametrize(("serve", "host", "wanted"), CASES.values(), ids=CASES.keys())
async def test_the_card_tells_no_name_that_the_agent_does_not_have(serve, host, wanted):
    async with running({**SPEC, "serve": serve}) as it, httpx.AsyncClient(headers={"host": host}) as http:
        card = await A2ACardResolver(http, it.url).get_agent_card()
    port = it.url.rpartition(":")[2]
    assert {one.url for one in card.supported_interfaces} == {wanted.replace("PORT", port) + "/a2a"}

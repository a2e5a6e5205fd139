from __future__ import annotations

import json

import pytest

from agent_runtime.auth.callers import Callers
from agent_runtime.auth.principal import Principal
from agent_runtime.errors import ForbiddenError
from agent_runtime.spec.identity import OPERATOR_URI, SCRAPER_URI, agent_uri

CLERK = agent_uri("shop", "clerk")


def test_the_list_counts_as_it_is_now(tmp_path):
    file = tmp_path / "callers.json"
    callers = Callers(file)
    with pytest.raises(ForbiddenError, match="agent shop/clerk may not call this one"):
        callers.principal(CLERK)
    file.write_text(json.dumps({"agents": ["shop/clerk"]}))
    assert callers.principal(CLERK) == Principal("shop/clerk", "", "mtls")
    file.write_text("{")
    assert callers.principal(CLERK)
    file.write_text(json.dumps({"agents": []}))
    with pytest.raises(ForbiddenError):
        callers.principal(CLERK)


@pytest.mark.parametrize("uri", [OPERATOR_URI, SCRAPER_URI, "spiffe://elsewhere/ns/shop/agent/clerk"])
def test_a_certificate_that_is_no_agents_gives_no_access(tmp_path, uri):
    (tmp_path / "callers.json").write_text(json.dumps({"agents": ["shop/clerk"]}))
    with pytest.raises(ForbiddenError, match="no agent's"):
        Callers(tmp_path / "callers.json").principal(uri)

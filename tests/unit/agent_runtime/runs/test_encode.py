from __future__ import annotations

import json

from langchain_core.messages import AIMessage

from agent_runtime.runs.encode import dumps


def test_what_json_has_no_form_for_hides_nothing_else():
    message = AIMessage("half \ud83d", id="m", additional_kwargs={"n": 10**30})
    found = json.loads(dumps({"messages": [message], "file": b"\x00\x01", "n": 1}))
    assert found["messages"][0]["content"] == "half ?"
    assert found["messages"][0]["additional_kwargs"] == {"n": str(10**30)}
    assert found["file"] == "AAE="
    assert found["n"] == 1

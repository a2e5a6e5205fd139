from collections.abc import AsyncIterator

import httpx
import pytest

from apm_operator.health import HealthServer

WRONG: dict[str, str] = {}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    server = HealthServer(lambda: {"queue": "", "watches": WRONG.get("live", "")}, lambda: WRONG, lambda: None)
    await server.start("127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.port}"
    await server.stop()


async def test_a_check_that_fails_is_named(url: str):
    WRONG.clear()
    async with httpx.AsyncClient() as client:
        fine = await client.get(f"{url}/livez")
        assert (fine.status_code, fine.json()["status"]) == (200, "ok")
        WRONG["live"] = "deaf"
        failed = await client.get(f"{url}/livez")
        assert failed.status_code == 503
        assert failed.json()["checks"] == {"queue": {"ok": True}, "watches": {"ok": False, "message": "deaf"}}
        assert (await client.get(f"{url}/readyz")).status_code == 503


async def test_metrics_are_in_prometheus_format(url: str):
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "# TYPE apm_queue_depth gauge" in answer.text

"""A real Prometheus scrapes an agent with TLS, as the chart's PodMonitor has it do that."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import yaml

from agent_runtime.spec.identity import SCRAPER_URI, agent_uri
from apm_operator.manifests.certificate import SCRAPED
from cluster.prometheus import Server, prometheus
from fakes.agents import CHAT, ECHO, person, running
from fakes.authority import Authority, pod, swap
from fakes.otlp_receiver import otlp_receiver
from integration.operators import eventually


def up(server: Server, job: str) -> bool | None:
    """Whether the last scrape of a job worked; None before the first."""
    found = server.query(f'up{{job="{job}"}}')
    return found[0]["value"][1] == "1" if found else None


async def test_agents_are_scraped_by_who_has_the_certificate(tmp_path: Path):
    authority = Authority()
    mounts = pod(tmp_path / "pod", authority, "tested")
    certificate, key = authority.issue((agent_uri("tests", "tested"),), host=SCRAPED)
    swap(mounts.tls, {"tls.crt": certificate, "tls.key": key, "ca.crt": authority.pem})
    certificate, key = authority.issue((SCRAPER_URI,))
    for name, text in {"tls.crt": certificate, "tls.key": key, "ca.crt": authority.pem}.items():
        (tmp_path / name).write_text(text)
    trusting = {"ca_file": str(tmp_path / "ca.crt"), "server_name": SCRAPED}
    shown = {"cert_file": str(tmp_path / "tls.crt"), "key_file": str(tmp_path / "tls.key")}
    elsewhere = {**trusting, **shown, "server_name": "other"}
    ways = {"scraper": {**trusting, **shown}, "nobody": trusting, "elsewhere": elsewhere}
    async with running({"models": [ECHO], "workflow": CHAT}, mounts=mounts) as it:
        target = {"scheme": "https", "static_configs": [{"targets": [it.url.partition("://")[2]]}]}
        jobs = [{"job_name": name, "tls_config": way, **target} for name, way in ways.items()]
        config = yaml.safe_dump({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs})

        def scraped() -> dict[str, bool | None]:
            with prometheus(tmp_path, config) as server:
                # One look for all: a scrape may take too long now and then.
                def look() -> dict[str, bool | None]:
                    found = {name: up(server, name) for name in ways}
                    return found if found["scraper"] and None not in found.values() else {}

                seen: dict[str, bool | None] = eventually("the scraper is let in, and each was tried", look)
                return seen

        assert await asyncio.to_thread(scraped) == {"scraper": True, "nobody": False, "elsewhere": False}


async def test_exemplars_lead_from_durations_to_traces(tmp_path: Path):
    name = "apm_agent_run_duration_seconds_bucket"
    async with (
        otlp_receiver() as receiver,
        running({"models": [ECHO], "workflow": CHAT, "tracing": {"endpoint": receiver.url}}) as it,
    ):
        await it.client.runs.wait(None, "agent", input=person("hi"))
        job = {"job_name": "agents", "static_configs": [{"targets": [it.url.partition("://")[2]]}]}
        config = yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]})

        def found() -> list[str]:
            with prometheus(tmp_path, config, "--enable-feature=exemplar-storage") as server:
                eventually("the agent is scraped", lambda: up(server, "agents"))
                asked = {"query": name, "start": f"{time.time() - 60:.0f}", "end": f"{time.time() + 60:.0f}"}
                series = eventually("an exemplar", lambda: server.get("/api/v1/query_exemplars", **asked)["data"])
                return [each["labels"]["trace_id"] for one in series for each in one["exemplars"]]

        traces = await asyncio.to_thread(found)
        spans = await receiver.until(lambda spans: any(span.name == "invoke_agent tested" for span in spans))
    assert set(traces) == {span.trace for span in spans if span.name == "invoke_agent tested"}

"""Every panel of the dashboard, asked of a real Prometheus that scrapes a real operator and a real agent.

With `APM_PICTURE=docs/images/dashboard.svg` the panels' data are drawn into that file.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import yaml

from apm_operator.kinds import RECONCILE_AT
from cluster.controlplane import ControlPlane
from cluster.prometheus import Server, prometheus
from deploy.dashboard.panel import Panel
from deploy.dashboard.picture import Series, legend, svg
from deploy.dashboard.sections import SECTIONS
from fakes.agents import person, running
from fakes.panels import filled, queries, without_data
from fakes.tool_server import tool_server
from integration.operators import agent, eventually, operator
from integration.shop import Shop

GROUP = "apm.valeo-neuroerp.com"
MONGODB = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}}
_DEADLINE = 90.0
_DRAWN = 75.0
"""Seconds of load in the picture."""
_COUNTS = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")


def spec(database: str, url: str) -> dict[str, Any]:
    """An agent that asks a model and a tool, and starts runs by events."""
    model = {"name": "default", "provider": "scripted", "maxTokens": 50, "script": [{"reply": "Hello"}]}
    start = {"input": {"found": "event.id"}}
    return {
        "models": [{**model, "price": {"input": "1.00", "output": "2.00"}}],
        "budgets": {"agent": {"tokensPerDay": 1_000_000, "costPerDay": "100"}},
        "rateLimits": {"requestsPerMinute": 10_000, "requestsPerHour": 10_000, "burst": 100},
        "state": {"mongodb": {**MONGODB, "database": database}},
        "events": {"subscribe": [{"name": "orders", "type": "shop.order.*", "start": start}]},
        "workflow": {
            "state": {"messages": {"type": "messages"}, "found": {"type": "any"}},
            "start": "ask",
            "tools": [{"name": "lookup", "http": {"url": f"{url}/found"}}],
            "nodes": [
                {"name": "ask", "uses": "model", "with": {"prompt": "Hello."}, "next": "look"},
                {"name": "look", "uses": "tool", "with": {"tool": "lookup", "save": "found"}},
            ],
        },
    }


def write_resources(shop: Shop) -> None:
    """An agent with a certificate, and a policy and a Restore as they are once they have been at work."""
    shop.apply(agent("tested", shop.namespace, tls={"mode": "Enabled"}))
    eventually("the agent has a Deployment", lambda: shop.get("deployment", "tested"))
    _show(shop, "deployment", "tested", dict.fromkeys(_COUNTS, 1) | {"observedGeneration": 1000})
    storage = {"persistentVolumeClaim": {"claimName": "backups"}}
    policy = {"schedule": "0 2 * * *", "source": {"mongodb": MONGODB}, "storage": storage}
    metadata = {"name": "nightly", "namespace": shop.namespace}
    shop.apply({"apiVersion": f"{GROUP}/v1alpha1", "kind": "BackupPolicy", "metadata": metadata, "spec": policy})
    ended = (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {
        "lastSuccessTime": ended,
        "lastVerifiedTime": ended,
        "size": 84_000_000,
        "documents": 41_000,
        "duration": 37,
    }
    _show(shop, "backuppolicy", "nightly", {**status, "store": {"backups": 14, "verified": 2}})


def _show(shop: Shop, kind: str, name: str, status: dict[str, Any]) -> None:
    """Writes what would come of pods, of which there are none here."""
    patch = json.dumps({"status": status})
    shop.kubectl("patch", kind, name, "--subresource=status", "--type=merge", f"--patch={patch}")


async def work(url: str, http: httpx.AsyncClient) -> None:
    """A turn, and an event that starts a run."""
    answer = await http.post(f"{url}/runs/wait", json={"assistant_id": "agent", "input": person("hi")})
    assert answer.is_success, answer.text
    event = {"specversion": "1.0", "id": str(uuid4()), "source": "/test", "type": "shop.order.made", "data": {}}
    headers = {"content-type": "application/cloudevents+json"}
    answer = await http.post(f"{url}/events", content=json.dumps(event), headers=headers)
    assert answer.is_success, answer.text


def scraping(*jobs: dict[str, Any]) -> str:
    """A configuration of Prometheus that scrapes once a second."""
    return yaml.safe_dump({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": list(jobs)})


def drawn(server: Server, since: float, namespace: str) -> str:
    """The dashboard with its data since a time, and a friendlier name for the namespace."""
    now = time.time()

    def course(panel: Panel) -> list[Series]:
        found = []
        for query in panel.queries:
            asked = {"query": filled(query.expr), "start": f"{since:.0f}", "end": f"{now:.0f}", "step": "1"}
            for one in server.get("/api/v1/query_range", **asked)["data"]["result"]:
                points = [(float(when), float(amount)) for when, amount in one["values"]]
                labels = {name: "shop" if value == namespace else value for name, value in one["metric"].items()}
                found.append(Series(legend(query.legend, labels), points))
        return found

    return svg({title: [(panel, course(panel)) for panel in panels] for title, panels in SECTIONS.items()})


def _host(url: str) -> str:
    return url.partition("://")[2]


async def _seen(server: Server, shop: Shop, url: str, http: httpx.AsyncClient) -> set[str]:
    """Works until each query has given data, and returns those that have not."""
    picture, start = os.environ.get("APM_PICTURE"), time.monotonic()
    missing, begun, turn = queries(), time.time(), 0
    while time.monotonic() < start + _DEADLINE:
        turn += 1
        # In the picture something is to be seen.
        await asyncio.gather(*(work(url, http) for _ in range(1 + turn % 20 // 5 if picture else 1)))
        await asyncio.to_thread(
            shop.kubectl, "annotate", "agentdeployment/tested", "--overwrite", f"{RECONCILE_AT}={uuid4()}"
        )
        missing = await asyncio.to_thread(without_data, server, missing)
        if not missing and (not picture or time.time() > begun + _DRAWN):
            break
        await asyncio.sleep(0.2)
    if picture and not missing:
        await asyncio.to_thread(lambda: Path(picture).write_text(drawn(server, begun + 15, shop.namespace)))
    return missing


async def test_every_panel_has_data(control_plane: ControlPlane, namespace, database, mounted, tmp_path: Path):
    shop = Shop(control_plane, namespace)
    labels = {"namespace": namespace, "agent": "tested", "pod": "tested-0"}
    with operator(control_plane.kubeconfig, namespace, tmp_path / "operator.log") as started:
        started.ready()
        write_resources(shop)
        eventually("the policy's status is told", lambda: started.metric("apm_backup_size_bytes"))
        async with (
            tool_server(200, answer={"at": 1}) as service,
            running(spec(database, service.url), secrets=mounted) as it,
            # A connection that was idle for a while may be closed in the moment of its next use.
            httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0), timeout=30) as http,
        ):
            jobs = (
                {"job_name": "agents", "static_configs": [{"targets": [_host(it.url)], "labels": labels}]},
                {
                    "job_name": "operator",
                    "honor_labels": True,
                    "static_configs": [{"targets": [_host(started.url)], "labels": {"namespace": "apm-system"}}],
                },
            )
            with prometheus(tmp_path, scraping(*jobs)) as server:
                assert await _seen(server, shop, it.url, http) == set()

"""A real Prometheus with weeks of history, which scrapes nobody."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from cluster import debian, ports
from integration.operators import eventually

Samples = Iterable[tuple[str, Mapping[str, str], float, float]]
"""Name, labels, time and value, grouped by name."""


@contextmanager
def prometheus(folder: Path, samples: Samples) -> Iterator[str]:
    """The URL of a Prometheus that knows these samples."""
    history, data = folder / "history.txt", folder / "data"
    with history.open("w") as out:
        out.writelines(f"{name}{_labels(labels)} {value!r} {time:.0f}\n" for name, labels, time, value in samples)
        out.write("# EOF\n")
    promtool = [
        str(debian.program("promtool")),
        "tsdb",
        "create-blocks-from",
        "--quiet",
        "--max-block-duration=162h",
        "openmetrics",
    ]
    subprocess.run([*promtool, str(history), str(data)], check=True, capture_output=True, timeout=400)
    config = folder / "prometheus.yml"
    config.write_text("scrape_configs: []\n")
    with ports.held() as port:
        command = [
            *(str(debian.program("prometheus")), f"--config.file={config}", f"--storage.tsdb.path={data}"),
            *(f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=60d"),
        ]
        with (folder / "prometheus.log").open("wb") as log:
            process = subprocess.Popen(command, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            eventually("Prometheus answers", lambda: _ready(url), 120)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").is_success
    except httpx.TransportError:
        return False

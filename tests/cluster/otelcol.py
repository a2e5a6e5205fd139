"""OpenTelemetry's Collector as a process of this machine: it takes traces, and hands each on before it answers."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from cluster import gobuild, ports
from cluster.errors import StartError
from cluster.progress import wait_until


@contextmanager
def running(folder: Path, onward: str, certificate: Path, key: Path) -> Iterator[str]:
    """Gives the address of one that takes OTLP over HTTP with TLS; what it takes goes to the receiver `onward`.

    Raises:
        StartError: it ended, or does not listen.
    """
    file = folder / "otelcol.yaml"
    with ports.held() as port:
        file.write_text(yaml.safe_dump(_config(f"127.0.0.1:{port}", onward, certificate, key)))
        with (folder / "otelcol.log").open("wb") as log:
            process = subprocess.Popen([gobuild.program("otelcol"), f"--config={file}"], stdout=log, stderr=log)
        try:
            wait_until("the Collector", lambda: _listens(port) or _ended(process, folder), seconds=60, every=0.05)
            yield f"https://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _config(address: str, onward: str, certificate: Path, key: Path) -> object:
    tls = {"cert_file": str(certificate), "key_file": str(key)}
    # Nothing waits in it and nothing is tried again, so that who sends is told what has become of the spans.
    straight = {"sending_queue": {"enabled": False}, "retry_on_failure": {"enabled": False}}
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": address, "tls": tls}}}},
        "exporters": {"otlp_http": {"endpoint": onward, **straight}},
        "service": {"pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlp_http"]}}},
    }


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ended(process: "subprocess.Popen[bytes]", folder: Path) -> bool:
    if process.poll() is not None:
        raise StartError(f"the Collector ended: {(folder / 'otelcol.log').read_text(errors='replace')[-500:]}")
    return False

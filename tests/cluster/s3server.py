"""An S3 server (Versity's gateway over a folder) as a process of this machine, with credentials of its own."""

import http.client
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import gobuild, ports, settings
from cluster.errors import StartError
from cluster.progress import wait_until

BUCKET = "backups"


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Attributes:
        folder: has the files `access-key-id` and `secret-access-key`, and the bucket's objects under `data/backups`.
    """

    folder: Path
    port: int
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """Its address, where it serves without TLS."""
        return f"http://{self.host}:{self.port}"

    @property
    def data(self) -> Path:
        """The bucket: each object is a file."""
        return self.folder / "data" / BUCKET

    def answers(self) -> bool:
        """Whether it serves."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()


@contextmanager
def running(
    folder: Path, *, host: str = "127.0.0.1", certificate: Path | None = None, key: Path | None = None
) -> Iterator[S3Server]:
    """A server that keeps all it has in `folder`, with TLS where there is a certificate.

    Raises:
        StartError: it ended, or does not answer.
    """
    (folder / "data" / BUCKET).mkdir(parents=True)
    (folder / "metadata").mkdir()
    keys = {"access-key-id": secrets.token_hex(10).upper(), "secret-access-key": secrets.token_urlsafe(30)}
    for name, value in keys.items():
        (folder / name).write_text(value)
    with ports.held(host) as port:
        command: list[str | Path] = [
            gobuild.program("versitygw"),
            f"--port={host}:{port}",
            "--quiet",
            "--health=/health",
        ]
        command += [f"--cert={certificate}", f"--key={key}"] if certificate else []
        command += ["posix", f"--sidecar={folder / 'metadata'}", folder / "data"]
        credentials = {"ROOT_ACCESS_KEY": keys["access-key-id"], "ROOT_SECRET_KEY": keys["secret-access-key"]}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=settings.build_environment(**credentials))
        server = S3Server(folder, port, host)

        def up() -> bool:
            serves = server.answers() if certificate is None else _listens(host, port)
            return serves or _ended(process, folder)

        try:
            wait_until("the S3 server", up, seconds=30, every=0.05)
            yield server
        finally:
            process.kill()
            process.wait()


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def _ended(process: "subprocess.Popen[bytes]", folder: Path) -> bool:
    if process.poll() is not None:
        raise StartError(f"the S3 server ended: {(folder / 'log').read_text(errors='replace')[-500:]}")
    return False

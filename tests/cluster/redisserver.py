"""Redis (Debian's package) as a process of this machine, with a password of its own."""

import secrets
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import machine, ports
from cluster.errors import StartError
from cluster.progress import wait_until

_PROGRAM = "redis-server"


@dataclass
class RedisServer:
    """A server that can be stopped and started again; it keeps nothing.

    Attributes:
        folder: has its log, and `password`.
        authority: the certificate that signed its own, where it serves with TLS.
    """

    folder: Path
    port: int
    host: str = "127.0.0.1"
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def password(self) -> str:
        """What clients have to send."""
        return (self.folder / "password").read_text()

    @property
    def pid(self) -> int:
        """Of its process, which runs."""
        if self._process is None:
            raise StartError("Redis does not run")
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            StartError: it ended, or does not answer.
        """
        listens = ["port 0", f"tls-port {self.port}"] if self.certificate else [f"port {self.port}"]
        if self.certificate:
            listens += [f"tls-cert-file {self.certificate}", f"tls-key-file {self.key}"]
            listens += [f"tls-ca-cert-file {self.authority}", "tls-auth-clients no"]
        lines = [f"bind {self.host}", *listens, f"requirepass {self.password}", 'save ""', f"dir {self.folder}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([program(), "-"], stdin=subprocess.PIPE, stdout=log, stderr=log)
        self._tell("\n".join(lines))  # the password stands in no command line
        wait_until("Redis", lambda: self._answers() or self._ended(), seconds=30, every=0.05)

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _tell(self, config: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(config.encode())
            self._process.stdin.close()

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=5) as plain:
                context = ssl.create_default_context(cafile=self.authority) if self.certificate else None
                connection = context.wrap_socket(plain, server_hostname=self.host) if context else plain
                with connection:
                    connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                    answer = b""
                    while b"+PONG" not in answer and (said := connection.recv(100)):
                        answer += said
                    return b"+PONG" in answer
        except OSError:
            return False

    def _ended(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise StartError(f"Redis ended: {(self.folder / 'log').read_text(errors='replace')[-500:]}")
        return False


def program() -> str:
    """Path of the server, whose Debian package is installed now if it is not there.

    Raises:
        MachineError: it is not there, and can't be installed.
    """
    if shutil.which(_PROGRAM) is None:
        machine.install_packages({_PROGRAM: _PROGRAM})
    return _PROGRAM


@contextmanager
def running(
    folder: Path, *, authority: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> Iterator[RedisServer]:
    """A server on loopback, with TLS where there is a certificate."""
    (folder / "password").write_text(secrets.token_urlsafe(24))
    with ports.held() as port:
        server = RedisServer(folder, port, authority=authority, certificate=certificate, key=key)
        server.start()
        try:
            yield server
        finally:
            server.stop()

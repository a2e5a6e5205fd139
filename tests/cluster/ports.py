"""Free TCP ports, held for an instance for as long as its folder exists."""

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.errors import MachineError

# Below the kernel's range for outgoing connections (32768 on): one could take a port between choice and use.
_RANGE = range(20000, 30000)
_TRIES = 200


def claim(claims: Path, owner: Path, count: int, *, address: str = "127.0.0.1") -> list[int]:
    """Claim `count` ports that are free on `address` for the instance in folder `owner`.

    Raises:
        MachineError: no free port was found.
    """
    claims.mkdir(parents=True, exist_ok=True)
    claimed: list[int] = []
    for port in random.sample(_RANGE, _TRIES):
        if len(claimed) == count:
            break
        if _claim_one(claims / str(port), owner) and _free(address, port):
            claimed.append(port)
    if len(claimed) < count:
        raise MachineError(f"no {count} free TCP ports from {_RANGE.start} to {_RANGE.stop} on {address}: free some")
    return claimed


@contextmanager
def held(address: str = "127.0.0.1") -> Iterator[int]:
    """A free TCP port for one program that is started within the context; nobody else gets it meanwhile.

    A socket keeps it that is bound and does not listen: who asks for any free port gets another one, and a program that
    listens with SO_REUSEADDR, as servers do, is not in its way.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((address, 0))
        yield int(holder.getsockname()[1])


def release(claims: Path, owner: Path) -> None:
    """Give up all ports of the instance in folder `owner`."""
    for path in claims.glob("*"):
        if _owner(path) == str(owner):
            path.unlink(missing_ok=True)


def _owner(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _claim_one(path: Path, owner: Path) -> bool:
    holder = _owner(path)
    if holder and not Path(holder).exists():
        path.unlink(missing_ok=True)
    try:
        with path.open("x") as claim_file:
            claim_file.write(str(owner))
    except FileExistsError:
        return False
    return True


def _free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True

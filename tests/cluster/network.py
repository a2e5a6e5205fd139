"""The node's network: a bridge of its own for pods, closed towards everything beyond the machine."""

import ipaddress
import json
from pathlib import Path

from cluster import machine
from cluster.errors import MachineError
from cluster.machine import run

BRIDGE = "apm0"
ADDRESS = "10.214.0.1"
PODS = ipaddress.ip_network("10.214.0.0/24")
SERVICES = "10.215.0.0/16"

_FENCE = "APM-FENCE"
_OURS = ("KUBE-", _FENCE)
# The comment of the rules that kube-router puts straight into the standard chains.
_ROUTER = '--comment "KUBE-ROUTER rule'
_SETS = ("KUBE-", "kube-router-", "inet6:KUBE-", "inet6:kube-router-")
_MODULE = "br_netfilter"
_BRIDGE_SWITCHES = Path("/proc/sys/net/bridge")
_SWITCHES = {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"}

# No masquerading, and what a pod sends to any other device is dropped: pods never reach beyond the machine.
# In the table mangle, since kube-router puts its own rules, which accept what a policy allows, first in filter.
_RULES = f"""\
*mangle
:{_FENCE} - [0:0]
-A {_FENCE} -i {BRIDGE} ! -o {BRIDGE} -j DROP
-A {_FENCE} ! -i {BRIDGE} -o {BRIDGE} -j DROP
-I FORWARD 1 -j {_FENCE}
COMMIT
"""


def require_free() -> None:
    """Raise MachineError where the machine is a Kubernetes node already or uses our addresses otherwise."""
    if ":KUBE-" in run(["iptables-save"]):
        raise MachineError("the machine is a Kubernetes node already (iptables has KUBE- chains): use another machine")
    for route in json.loads(run(["ip", "-json", "-4", "route", "show"])):
        if route["dst"] == "default":
            continue
        taken = ipaddress.ip_network(route["dst"])
        for wanted in (PODS, ipaddress.ip_network(SERVICES)):
            if taken.overlaps(wanted):
                device = route.get("dev", "?")
                raise MachineError(f"the cluster needs {wanted}, but {taken} leads to {device}: remove that route")


def create(directory: Path) -> None:
    """Make the bridge, the fence and the CNI configuration in `directory`/cni."""
    load_module(directory)
    run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    run(["ip", "address", "add", f"{ADDRESS}/{PODS.prefixlen}", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    # What kube-proxy has no rule for must not leave by the machine's default route.
    run(["ip", "route", "add", SERVICES, "dev", BRIDGE])
    machine.set_switches(_SWITCHES, directory / "switches")
    run(["iptables-restore", "--noflush"], stdin=_RULES)
    _write_cni(directory)


def delete(directory: Path) -> None:
    """Remove the bridge, and every chain and set that the node's components made."""
    for family in ("iptables", "ip6tables"):
        _remove_chains(family)
    for name in run(["ipset", "list", "-name"], check=False).split():
        if name.startswith(_SETS):
            run(["ipset", "destroy", name], check=False)
    if exists():
        run(["ip", "link", "delete", BRIDGE])
    machine.restore_switches(directory / "switches")
    unload_module(directory)


def load_module(directory: Path) -> None:
    """Have bridged packets shown to iptables; note in `directory` where the module for that was not loaded before."""
    if not _BRIDGE_SWITCHES.exists():
        (directory / _MODULE).touch()
        run(["modprobe", _MODULE])


def unload_module(directory: Path) -> None:
    """Unload the module if `load_module` loaded it and nobody else uses it."""
    if (directory / _MODULE).exists():
        run(["modprobe", "--remove", _MODULE], check=False)


def exists() -> bool:
    """Whether the bridge is there."""
    return Path("/sys/class/net", BRIDGE).exists()


def services_routed() -> bool:
    """Whether kube-proxy has put its rules in place."""
    return ":KUBE-SERVICES " in run(["iptables-save", "-t", "nat"])


def _write_cni(directory: Path) -> None:
    folder = directory / "cni"
    folder.mkdir(parents=True, exist_ok=True)
    plugin = {
        "type": "bridge",
        "bridge": BRIDGE,
        "hairpinMode": True,
        "ipMasq": False,
        "isGateway": False,
        "ipam": {
            "type": "host-local",
            "dataDir": str(directory / "ipam"),
            "ranges": [[{"subnet": str(PODS), "rangeStart": str(PODS[10]), "gateway": ADDRESS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    config = {"cniVersion": "1.0.0", "name": "apm", "plugins": [plugin]}
    (folder / "10-apm.conflist").write_text(json.dumps(config, indent=2))


def _remove_chains(family: str) -> None:
    saved = run([f"{family}-save"], check=False)
    commands = removal(saved)
    if commands:
        run([f"{family}-restore", "--noflush"], stdin=commands)


def removal(saved: str) -> str:
    """Input for `iptables-restore --noflush` that takes our chains out of the tables in `saved`.

    Only rules that jump to a chain of ours, and the chains themselves, are named: what others made stays.
    """
    out: list[str] = []
    for table in saved.split("COMMIT"):
        lines = [line for line in table.splitlines() if line and not line.startswith("#")]
        chains = [line[1:].split()[0] for line in lines if line.startswith(":")]
        ours = [chain for chain in chains if chain.startswith(_OURS)]
        if not ours:
            continue
        foreign = [line for line in lines if line.startswith("-A ") and not line.split()[1].startswith(_OURS)]
        out.append(lines[0])
        out += [f"-D{rule[2:]}" for rule in foreign if _target(rule).startswith(_OURS) or _ROUTER in rule]
        out += [f"-F {chain}" for chain in ours]
        out += [f"-X {chain}" for chain in ours]
        out.append("COMMIT")
    return "\n".join(out) + "\n" if out else ""


def _target(rule: str) -> str:
    words = rule.split()
    jumps = [words[index + 1] for index, word in enumerate(words[:-1]) if word in {"-j", "-g"}]
    return jumps[0] if jumps else ""

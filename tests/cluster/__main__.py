"""Command line of the local cluster: `python -m cluster`."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from cluster import debian, gobuild, images
from cluster.controlplane import ALL_CONTROLLERS, LEAN_CONTROLLERS, Options
from cluster.errors import ClusterError
from cluster.installation import Installation
from cluster.instances import control_plane
from cluster.provider import choose, deploy

app = typer.Typer(
    help="The local Kubernetes cluster of the tests and of the demo.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command(name="bin")
def bin_(
    names: Annotated[list[str], typer.Argument(help="programs, such as kubectl, helm, kubeconform")],
) -> None:
    """Print the path of each program, building it first where it is missing."""
    for name in names:
        print(debian.program(name) if name in debian.NAMES else gobuild.program(name))


@app.command()
def plane(
    kubeconfig: Annotated[Path, typer.Option(help="link to make to the kubeconfig")] = Path("kubeconfig"),
    *,
    all_controllers: Annotated[bool, typer.Option(help="run every controller, not only the lean set")] = False,
) -> None:
    """Run a control plane without nodes until Ctrl-C."""
    if kubeconfig.exists() and not kubeconfig.is_symlink():
        raise ClusterError(f"{kubeconfig} is there already: move it away, or name another with --kubeconfig")
    controllers = ALL_CONTROLLERS if all_controllers else LEAN_CONTROLLERS
    with control_plane(Options(controllers=controllers)) as running:
        print(f"API server at {running.url}; kubeconfig: {running.kubeconfig}")
        kubeconfig.unlink(missing_ok=True)
        kubeconfig.symlink_to(running.kubeconfig)
        try:
            signal.pause()
        finally:
            kubeconfig.unlink(missing_ok=True)


@app.command()
def up() -> None:
    """Bring the cluster up, or find it up; print its kubeconfig's path."""
    cluster = choose()
    cluster.up()
    print(cluster.kubeconfig)


@app.command()
def down() -> None:
    """Remove the cluster and all that `up` made."""
    choose().down()


@app.command()
def status() -> None:
    """Tell whether the cluster is up."""
    cluster = choose()
    print(f"{cluster.name}: {'up' if cluster.running() else 'down'}, kubeconfig {cluster.kubeconfig}")


@app.command()
def load(names: Annotated[list[str] | None, typer.Argument(help="images; all by default")] = None) -> None:
    """Build images and load them into the cluster; print their references."""
    cluster = choose()
    for name in names or images.ALL:
        if name not in images.ALL:
            raise ClusterError(f"no image {name}: choose from {', '.join(images.ALL)}")
        print(deploy(cluster, images.ALL[name]))


@app.command()
def install() -> None:
    """Bring the cluster up, with MongoDB and the operator of this work tree."""
    cluster = choose()
    cluster.up()
    Installation(cluster).ensure()


@app.command()
def demo() -> None:
    """Show the whole: cluster, operator, agents, a conversation."""
    from cluster.demo import run  # noqa: PLC0415 - the SDK and PyMongo take longer to import than most commands run

    run()


def main() -> None:
    """Run the command line; a foreseen error is one line and exit code 1."""
    # As Ctrl-C does, so that what was half made is taken back: a closed terminal, `timeout`, a CI job that is ended.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        app()
    except ClusterError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

"""Command line of the local cluster: `python -m cluster`."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from cluster import gobuild
from cluster.controlplane import ALL_CONTROLLERS, LEAN_CONTROLLERS, Options
from cluster.errors import ClusterError
from cluster.instances import control_plane

app = typer.Typer(help="The local Kubernetes cluster of the tests and of the demo.", no_args_is_help=True)


@app.command(name="bin")
def bin_(
    names: Annotated[list[str], typer.Argument(help="programs, such as kubectl, helm, kubeconform")],
) -> None:
    """Print the path of each program, building it first where it is missing."""
    for name in names:
        print(gobuild.program(name))


@app.command()
def plane(
    kubeconfig: Annotated[Path, typer.Option(help="link to make to the kubeconfig")] = Path("kubeconfig"),
    *,
    all_controllers: Annotated[
        bool, typer.Option(help="run every controller, not only the lean set")
    ] = False,
) -> None:
    """Run a control plane without nodes until Ctrl-C."""
    controllers = ALL_CONTROLLERS if all_controllers else LEAN_CONTROLLERS
    with control_plane(Options(controllers=controllers)) as running:
        print(f"API server at {running.url}; kubeconfig: {running.kubeconfig}")
        kubeconfig.unlink(missing_ok=True)
        kubeconfig.symlink_to(running.kubeconfig)
        try:
            signal.pause()
        finally:
            kubeconfig.unlink(missing_ok=True)


def main() -> None:
    """Run the command line; a foreseen error is one line and exit code 1."""
    try:
        app(standalone_mode=False)
    except ClusterError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

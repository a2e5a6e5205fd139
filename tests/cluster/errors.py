"""What can go wrong with the local cluster; every message is one line that says what to do."""


class ClusterError(Exception):
    """The local cluster can't do what was asked."""


class BuildError(ClusterError):
    """A binary or an image could not be built."""


class StartError(ClusterError):
    """A component of the cluster did not come up."""


class MachineError(ClusterError):
    """The machine lacks something: root, a port, a package, a program."""

"""What the operator takes of the official client: its asyncio half, without the other.

`import kubernetes.aio` runs `kubernetes/__init__.py` first, which imports the synchronous client, and with that
requests, oauthlib and websocket: a tenth of the operator's memory, for nothing.
"""

import sys
from importlib.util import find_spec, module_from_spec


def _without_its_init(package: str) -> None:
    """Let subpackages be imported as if `package` had an empty `__init__.py`."""
    spec = find_spec(package)
    if package not in sys.modules and spec is not None:
        sys.modules[package] = module_from_spec(spec)


_without_its_init("kubernetes")

from kubernetes.aio import config  # noqa: E402
from kubernetes.aio.client.configuration import Configuration  # noqa: E402
from kubernetes.aio.client.rest import RESTClientObject  # noqa: E402

__all__ = ["Configuration", "RESTClientObject", "config"]

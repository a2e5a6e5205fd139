"""The names under which the API server knows the custom resources."""

from __future__ import annotations

from typing import Literal

GROUP = "apm.valeo-neuroerp.com"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "apm"

KIND = "AgentDeployment"
PLURAL = "agentdeployments"
SINGULAR = "agentdeployment"
SHORT_NAMES = ("agent", "agents")

RESERVED_KEY_PREFIXES = (f"{GROUP}/", "app.kubernetes.io/")
"""Label and annotation keys that the operator sets itself."""
RESERVED_ENV_PREFIX = "APM_"
RESERVED_ENV_NAMES = ("POD_NAME", "POD_NAMESPACE")
DEFAULT_TLS_MODE: Literal["Enabled", "Disabled"] = "Enabled"

"""Kubernetes operator that turns AgentDeployments into running agents."""

__version__ = "0.1.0"

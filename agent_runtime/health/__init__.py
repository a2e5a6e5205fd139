"""How an agent and what it depends on are: for people and programs that ask; probes of Kubernetes ask elsewhere."""

from agent_runtime.health.current import HealthChecker, get_health_checker
from agent_runtime.health.result import HealthResult, HealthStatus

__all__ = ["HealthChecker", "HealthResult", "HealthStatus", "get_health_checker"]

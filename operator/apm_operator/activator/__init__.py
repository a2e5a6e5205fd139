"""Stands in for an agent without pods: it holds connections until the agent is awake, and passes them through."""

"""The HTTP API of a pod: what langgraph-sdk calls, health and metrics."""

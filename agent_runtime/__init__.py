"""What runs in an agent's pods: a LangGraph workflow behind an HTTP server."""

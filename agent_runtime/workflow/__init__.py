"""From a workflow of the spec to a LangGraph graph."""

"""The Model Context Protocol: tools of MCP servers, and the agent as a tool of others.

Nothing of it is imported unless a spec asks for it: the protocol's library takes some 20 MiB.
"""

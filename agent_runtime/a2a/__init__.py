"""A2A 1.0, its JSON-RPC binding: an agent as a server of tasks, and as a client of other agents.

https://a2a-protocol.org/v1.0.0/specification
"""

"""Builders of an agent's children: pure functions, one module per kind."""

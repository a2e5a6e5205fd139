"""Sums up what the agents of a namespace did, and how they are kept: what the Jobs of an AgentReport run."""

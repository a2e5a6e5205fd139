"""Who calls an agent, and what proves it."""

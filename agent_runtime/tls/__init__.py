"""TLS: of the agent's own port, of calls to other agents, and of calls to everybody else."""

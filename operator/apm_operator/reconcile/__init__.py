"""One pass over one AgentDeployment: desired, apply, observe, status."""

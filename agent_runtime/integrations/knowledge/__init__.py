"""Documents in the agent's own MongoDB, and the search over them."""

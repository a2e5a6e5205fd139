"""Stand-ins for what agents talk to."""

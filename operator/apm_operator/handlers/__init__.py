"""The thin part that kopf calls."""

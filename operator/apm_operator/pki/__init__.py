"""The operator's own certificate authority: its life, the certificates it signs, and the Secrets they lie in."""

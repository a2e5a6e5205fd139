"""Figures of this machine: ratios and counts, never a pass or a fail."""

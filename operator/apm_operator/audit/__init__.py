"""What agents can reach, may do and read, and where that leaves the baseline: `python -m apm_operator audit`."""

"""Where threads, runs and checkpoints are kept."""

"""Running the graph: accepting runs, executing them one at a time per thread, and telling what happens."""

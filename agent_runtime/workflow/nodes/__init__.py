"""What each kind of node does: one module per kind, each with `build(node, parts)`."""

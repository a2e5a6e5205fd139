"""LangGraph's checkpoints in MongoDB: one log for each namespace of a thread.

A log's newest part stands in one document, its head; a superstep is one conditional update of it, so that a checkpoint,
its values and its writes become visible together. What the head has no room for is moved to archived segments, and
large values to blobs. See docs/decisions/0019-own-checkpointer.md.
"""

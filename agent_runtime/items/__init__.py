"""What agents remember across threads: LangGraph's store, kept apart by caller."""

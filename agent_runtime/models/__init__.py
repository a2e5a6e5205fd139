"""The language models that a workflow's nodes ask."""

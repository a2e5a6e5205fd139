"""The part of an AgentDeployment that its pods read, and the checks on it.

Used by the CRD generator, the operator and the pods, so that all three agree. It needs pydantic and CEL only.
"""

"""What an `approval` node asks a person, and what it takes for an answer."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent_runtime.spec.approval_node import CHOICE


class Question(BaseModel):
    """The value of an approval's interrupt. A graph of one's own asks by interrupting with such a value as well."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    type: Literal["approval"] = "approval"
    node: str = ""
    ask: str
    choices: tuple[str, ...]
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")
    """JSON Schema of the answer."""
    expires_at: str | None = None
    approvers: tuple[str, ...] = ()
    """Who may answer besides the thread's owner, as `auth.approvers` reads it."""
    problem: str | None = None
    """What was wrong with the answer before."""

    @property
    def value(self) -> dict[str, Any]:
        """As clients get it."""
        value = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return value if self.approvers else {name: value[name] for name in value if name != "approvers"}


def question_of(value: Any) -> Question | None:
    """The question, if an interrupt's value is one."""
    if not isinstance(value, dict) or value.get("type") != "approval":
        return None
    try:
        return Question.model_validate(value)
    except ValidationError:
        return None


def whole_answer(answer: Any) -> Any:
    """An answer in full: the name of a choice alone stands for an object that has nothing else."""
    return {CHOICE: answer} if isinstance(answer, str) else answer


def without_approvers(value: Any) -> Any:
    """A question of another agent, as this one asks it."""
    return {name: value[name] for name in value if name != "approvers"} if isinstance(value, dict) else value

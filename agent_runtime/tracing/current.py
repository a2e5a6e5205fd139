"""What stands for the open span where nobody can take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AnyValue


class Innermost(trace.Span):
    """A node's span, and once that has ended, the one that it was within.

    LangChain tells the end of a node in a task of its own. What the start attached stays attached in the node's, where
    an outer node goes on after a graph that it asked.
    """

    def __init__(self, span: trace.Span, around: trace.Span) -> None:
        self._span = span
        self._around = around

    @property
    def _open(self) -> trace.Span:
        return self._span if self._span.is_recording() else self._around

    def get_span_context(self) -> trace.SpanContext:
        """As the base class."""
        return self._open.get_span_context()

    def is_recording(self) -> bool:
        """As the base class."""
        return self._open.is_recording()

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        """As the base class."""
        self._open.set_attributes(attributes)

    def set_attribute(self, key: str, value: AnyValue) -> None:
        """As the base class."""
        self._open.set_attribute(key, value)

    def add_event(self, name: str, *args: Any, **options: Any) -> None:
        """As the base class."""
        self._open.add_event(name, *args, **options)

    def add_link(self, context: trace.SpanContext, *args: Any, **options: Any) -> None:
        """As the base class."""
        self._open.add_link(context, *args, **options)

    def update_name(self, name: str) -> None:
        """As the base class."""
        self._open.update_name(name)

    def set_status(self, status: Any, description: str | None = None) -> None:
        """As the base class."""
        self._open.set_status(status, description)

    def record_exception(self, exception: BaseException, *args: Any, **options: Any) -> None:
        """As the base class."""
        self._open.record_exception(exception, *args, **options)

    def end(self, end_time: int | None = None) -> None:
        """Does nothing: who has started the node's span ends it."""

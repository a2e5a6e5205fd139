"""Reservations, appointments and whatever else systems such as OpenTable, Toast and Doctolib take."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from agent_runtime.integrations.backend import Client
from agent_runtime.integrations.operation import (
    Answer,
    Arguments,
    EmailAddress,
    Identifier,
    Line,
    Operation,
    PhoneNumber,
    Text,
)

System = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""A system's name in an address, such as `opentable`, `toast` or `doctolib`."""

_SYSTEM = "Name of the system, such as opentable, toast or doctolib."
_STARTS_AT = "Begin, with its offset from UTC, such as 2026-12-24T19:00:00+01:00."


class ExecuteIntegration(Arguments):
    """An action that only one system knows."""

    system: System = Field(description=_SYSTEM)
    action: System = Field(description="What it is to do, such as place_order or cancel_appointment.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="What the action takes.")
    account_id: Identifier | None = Field(default=None, description="Account in whose name it is done.")


class CreateReservation(Arguments):
    """A table."""

    system: System = Field(default="opentable", description=_SYSTEM)
    restaurant_id: Identifier = Field(description="Id of the restaurant in the system.")
    starts_at: AwareDatetime = Field(description=_STARTS_AT)
    party_size: int = Field(ge=1, le=500, description="Number of guests.")
    customer_name: Line = Field(description="Name under which the table is booked.")
    phone_number: PhoneNumber | None = Field(default=None, description="Number with country code.")
    email: EmailAddress | None = Field(default=None, description="Where the confirmation goes.")
    notes: Text | None = Field(default=None, description="Wishes, such as a high chair.")
    account_id: Identifier | None = Field(default=None, description="Account in whose name it is booked.")


class CreateAppointment(Arguments):
    """An appointment with a practitioner."""

    system: System = Field(default="doctolib", description=_SYSTEM)
    practice_id: Identifier = Field(description="Id of the practice in the system.")
    practitioner_id: Identifier | None = Field(default=None, description="Id of the practitioner; else anyone free.")
    starts_at: AwareDatetime = Field(description=_STARTS_AT)
    patient_name: Line = Field(description="First and last name.")
    date_of_birth: date | None = Field(default=None, description="Such as 1980-03-01.")
    phone_number: PhoneNumber | None = Field(default=None, description="Number with country code.")
    email: EmailAddress | None = Field(default=None, description="Where the confirmation goes.")
    reason: Text | None = Field(default=None, description="What it is about.")
    account_id: Identifier | None = Field(default=None, description="Account in whose name it is booked.")


class Execution(Answer):
    """What an action came to."""

    id: str = Field(description="Id of the execution at the service.")
    status: Literal["succeeded", "pending", "failed"] = Field(
        description="`failed` means that the system refused it for good, and why is in `reason`."
    )
    result: dict[str, Any] = Field(default_factory=dict, description="What the action gave.")
    reason: str | None = None


class Booking(Answer):
    """A reservation or an appointment."""

    id: str = Field(description="Id of the booking at the service.")
    status: Literal["confirmed", "pending", "declined"] = Field(
        description="`declined` means that nothing was booked, and why is in `reason`: a taken slot is no error."
    )
    reference: str | None = Field(default=None, description="What the customer shows.")
    reason: str | None = None
    alternatives: list[AwareDatetime] = Field(default_factory=list, description="Free slots nearby, where declined.")


EXECUTE_INTEGRATION = Operation(
    "bookings",
    "execute_integration",
    "POST",
    "/{system}/actions/{action}",
    "Does what only one system knows, by its name.",
    ExecuteIntegration,
    Execution,
)
CREATE_RESERVATION = Operation(
    "bookings",
    "create_reservation",
    "POST",
    "/{system}/reservations",
    "Books a table in a restaurant.",
    CreateReservation,
    Booking,
)
CREATE_APPOINTMENT = Operation(
    "bookings",
    "create_appointment",
    "POST",
    "/{system}/appointments",
    "Books an appointment, at a doctor's for instance.",
    CreateAppointment,
    Booking,
)
OPERATIONS = (EXECUTE_INTEGRATION, CREATE_RESERVATION, CREATE_APPOINTMENT)


class IntegrationAgent(Client):
    """Books and acts in other systems. Every method raises CallError."""

    async def execute_integration(
        self,
        system: str,
        action: str,
        parameters: dict[str, Any] | None = None,
        *,
        account_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Execution:
        """Does what only one system knows."""
        given = {"system": system, "action": action, "parameters": parameters, "account_id": account_id}
        return await self._do(EXECUTE_INTEGRATION, given, idempotency_key)

    async def create_reservation(self, *, idempotency_key: str | None = None, **reservation: Any) -> Booking:
        """Books a table; the arguments are the fields of `CreateReservation`."""
        return await self._do(CREATE_RESERVATION, reservation, idempotency_key)

    async def create_appointment(self, *, idempotency_key: str | None = None, **appointment: Any) -> Booking:
        """Books an appointment; the arguments are the fields of `CreateAppointment`."""
        return await self._do(CREATE_APPOINTMENT, appointment, idempotency_key)

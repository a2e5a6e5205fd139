"""Contacts, deals and notes of customers."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from agent_runtime.integrations.backend import Client
from agent_runtime.integrations.operation import (
    Answer,
    Arguments,
    EmailAddress,
    Identifier,
    Line,
    Metadata,
    Operation,
    PhoneNumber,
    RecordId,
    Text,
)

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class _Contact(Arguments):
    first_name: Line | None = Field(default=None, description="First name.")
    email: EmailAddress | None = Field(default=None, description="Email address.")
    phone_number: PhoneNumber | None = Field(default=None, description="Number with country code.")
    company: Line | None = Field(default=None, description="Company.")
    account_id: Identifier | None = Field(default=None, description="Account to which the contact belongs.")
    metadata: Metadata = Field(default_factory=dict, max_length=32, description="Further fields.")


class CreateContact(_Contact):
    """A new contact."""

    last_name: Line = Field(description="Last name.")


class UpdateContact(_Contact):
    """Changes of a contact; what is left out stays."""

    contact_id: RecordId = Field(description="Id of the contact.")
    last_name: Line | None = Field(default=None, description="Last name.")


class _Deal(Arguments):
    contact_id: RecordId | None = Field(default=None, description="Contact whom the deal is with.")
    amount: float | None = Field(default=None, ge=0, description="Value, in units of the currency.")
    currency: Currency | None = Field(default=None, description="Currency as ISO 4217 writes it, such as EUR.")
    stage: Line | None = Field(default=None, description="Stage, such as proposal or won.")
    expected_close: date | None = Field(default=None, description="Day on which it is expected to close.")
    account_id: Identifier | None = Field(default=None, description="Account to which the deal belongs.")
    metadata: Metadata = Field(default_factory=dict, max_length=32, description="Further fields.")


class CreateDeal(_Deal):
    """A new deal."""

    title: Line = Field(description="What the deal is about.")


class UpdateDeal(_Deal):
    """Changes of a deal; what is left out stays."""

    deal_id: RecordId = Field(description="Id of the deal.")
    title: Line | None = Field(default=None, description="What the deal is about.")


class CreateNote(Arguments):
    """A new note."""

    text: Text = Field(description="The note.")
    contact_id: RecordId | None = Field(default=None, description="Contact whom the note is about.")
    deal_id: RecordId | None = Field(default=None, description="Deal that the note is about.")
    account_id: Identifier | None = Field(default=None, description="Account to which the note belongs.")


class UpdateNote(Arguments):
    """Another text for a note."""

    note_id: RecordId = Field(description="Id of the note.")
    text: Text = Field(description="The note.")


class Record(Answer):
    """What was created or changed."""

    id: str = Field(description="Id of the contact, deal or note at the service.")
    kind: Literal["contact", "deal", "note"]
    created: bool | None = Field(default=None, description="False where the service had it already.")
    url: str | None = Field(default=None, description="Where people can look at it.")
    updated_at: datetime | None = None


def _operation(name: str, path: str, description: str, arguments: type[Arguments]) -> Operation[Record]:
    method: Literal["POST", "PATCH"] = "POST" if name.startswith("create") else "PATCH"
    return Operation("crm", name, method, path, description, arguments, Record)


CREATE_CONTACT = _operation("create_contact", "/contacts", "Keeps a new contact.", CreateContact)
UPDATE_CONTACT = _operation("update_contact", "/contacts/{contact_id}", "Changes a contact.", UpdateContact)
CREATE_DEAL = _operation("create_deal", "/deals", "Keeps a new deal.", CreateDeal)
UPDATE_DEAL = _operation("update_deal", "/deals/{deal_id}", "Changes a deal.", UpdateDeal)
CREATE_NOTE = _operation("create_note", "/notes", "Keeps a note about a contact or a deal.", CreateNote)
UPDATE_NOTE = _operation("update_note", "/notes/{note_id}", "Changes the text of a note.", UpdateNote)
OPERATIONS = (CREATE_CONTACT, UPDATE_CONTACT, CREATE_DEAL, UPDATE_DEAL, CREATE_NOTE, UPDATE_NOTE)


class CRMAgent(Client):
    """Keeps what is known of customers. Every method raises CallError, and returns the record's id.

    The keyword arguments are the fields of the model that has the method's name, such as `CreateContact`.
    """

    async def create_contact(self, *, idempotency_key: str | None = None, **contact: Any) -> Record:
        """Keeps a new contact."""
        return await self._do(CREATE_CONTACT, contact, idempotency_key)

    async def update_contact(self, contact_id: str, *, idempotency_key: str | None = None, **changes: Any) -> Record:
        """Changes a contact; what is left out stays."""
        return await self._do(UPDATE_CONTACT, {"contact_id": contact_id, **changes}, idempotency_key)

    async def create_deal(self, *, idempotency_key: str | None = None, **deal: Any) -> Record:
        """Keeps a new deal."""
        return await self._do(CREATE_DEAL, deal, idempotency_key)

    async def update_deal(self, deal_id: str, *, idempotency_key: str | None = None, **changes: Any) -> Record:
        """Changes a deal; what is left out stays."""
        return await self._do(UPDATE_DEAL, {"deal_id": deal_id, **changes}, idempotency_key)

    async def create_note(
        self,
        text: str,
        *,
        contact_id: str | None = None,
        deal_id: str | None = None,
        account_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Record:
        """Keeps a note about a contact or a deal."""
        given = {"text": text, "contact_id": contact_id, "deal_id": deal_id, "account_id": account_id}
        return await self._do(CREATE_NOTE, given, idempotency_key)

    async def update_note(self, note_id: str, text: str, *, idempotency_key: str | None = None) -> Record:
        """Changes the text of a note."""
        return await self._do(UPDATE_NOTE, {"note_id": note_id, "text": text}, idempotency_key)

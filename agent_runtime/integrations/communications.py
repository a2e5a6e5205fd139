"""Messages to people: SMS, email, phone call, chat."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from agent_runtime.integrations.backend import Client
from agent_runtime.integrations.operation import (
    Answer,
    Arguments,
    EmailAddress,
    Identifier,
    Line,
    Metadata,
    Operation,
    Page,
    PhoneNumber,
    Text,
)

Channel = Literal["sms", "email", "phone", "chat"]


class SendMessage(Arguments):
    """A message by any channel."""

    channel: Channel = Field(description="How the message goes out.")
    recipient: Identifier = Field(
        description="Phone number such as +49301234567 (sms, phone), email address (email), or id of the chat (chat)."
    )
    message: Text = Field(description="Text of the message; what is said on the phone.")
    subject: Line | None = Field(default=None, description="Subject; email only.")
    account_id: Identifier | None = Field(default=None, description="Account in whose name the message is sent.")
    metadata: Metadata = Field(default_factory=dict, max_length=32, description="Kept with the message.")

    @model_validator(mode="after")
    def _subject_of_email(self) -> Self:
        if self.subject is not None and self.channel != "email":
            raise ValueError("only an email has a subject: leave it out")
        return self


class SendSMS(Arguments):
    """A text message to a phone."""

    phone_number: PhoneNumber = Field(description="Number with country code, such as +49301234567.")
    message: Text = Field(description="Text of the message.")
    account_id: Identifier | None = Field(default=None, description="Account in whose name the message is sent.")


class SendEmail(Arguments):
    """An email."""

    to: EmailAddress = Field(description="Address of the recipient.")
    subject: Line = Field(description="Subject.")
    body: Text = Field(description="Text of the email.")
    html: Page | None = Field(default=None, description="The same as HTML, for mail programs that show it.")
    account_id: Identifier | None = Field(default=None, description="Account in whose name the email is sent.")


class MakeCall(Arguments):
    """A phone call in which a text is said."""

    phone_number: PhoneNumber = Field(description="Number with country code, such as +49301234567.")
    message: Text = Field(description="What is said.")
    language: Line | None = Field(default=None, description="Language as BCP 47 writes it, such as de-DE.")
    account_id: Identifier | None = Field(default=None, description="Account in whose name the call is made.")


class SendChat(Arguments):
    """A message to a chat."""

    chat_id: Identifier = Field(description="Id of the chat.")
    message: Text = Field(description="Text of the message.")
    account_id: Identifier | None = Field(default=None, description="Account in whose name the message is sent.")


class Receipt(Answer):
    """What became of a message so far."""

    id: str = Field(description="Id of the message at the service.")
    status: Literal["queued", "sent", "delivered", "failed"] = Field(
        description="`failed` means that it can't be delivered, and why is in `reason`."
    )
    channel: Channel
    reason: str | None = None
    created_at: datetime | None = None


SEND_MESSAGE = Operation(
    "communications", "send_message", "POST", "/messages", "Sends a message by any channel.", SendMessage, Receipt
)
SEND_SMS = Operation("communications", "send_sms", "POST", "/sms", "Sends a text message (SMS).", SendSMS, Receipt)
SEND_EMAIL = Operation("communications", "send_email", "POST", "/emails", "Sends an email.", SendEmail, Receipt)
MAKE_CALL = Operation(
    "communications", "make_call", "POST", "/calls", "Calls a phone number and says a text.", MakeCall, Receipt
)
SEND_CHAT = Operation("communications", "send_chat", "POST", "/chats", "Writes a message to a chat.", SendChat, Receipt)
OPERATIONS = (SEND_MESSAGE, SEND_SMS, SEND_EMAIL, MAKE_CALL, SEND_CHAT)


class CommunicationsSupervisor(Client):
    """Sends messages to people. Every method raises CallError, and returns the service's receipt."""

    async def send_message(
        self,
        channel: Channel,
        recipient: str,
        message: str,
        *,
        subject: str | None = None,
        account_id: str | None = None,
        metadata: dict[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Sends a message by any channel."""
        given = {
            "channel": channel,
            "recipient": recipient,
            "message": message,
            "subject": subject,
            "account_id": account_id,
            "metadata": metadata,
        }
        return await self._do(SEND_MESSAGE, given, idempotency_key)

    async def send_sms(
        self,
        phone_number: str,
        message: str,
        *,
        account_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Sends a text message; the number has its country code, such as +49301234567."""
        given = {"phone_number": phone_number, "message": message, "account_id": account_id}
        return await self._do(SEND_SMS, given, idempotency_key)

    async def send_email(
        self,
        to: str,
        subject: str,
        body: str,
        *,
        html: str | None = None,
        account_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Sends an email; `html` says the same as `body`, for mail programs that show it."""
        given = {"to": to, "subject": subject, "body": body, "html": html, "account_id": account_id}
        return await self._do(SEND_EMAIL, given, idempotency_key)

    async def make_call(
        self,
        phone_number: str,
        message: str,
        *,
        language: str | None = None,
        account_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Calls a phone and says a text."""
        given = {"phone_number": phone_number, "message": message, "language": language, "account_id": account_id}
        return await self._do(MAKE_CALL, given, idempotency_key)

    async def send_chat(
        self,
        chat_id: str,
        message: str,
        *,
        account_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Writes a message to a chat."""
        given = {"chat_id": chat_id, "message": message, "account_id": account_id}
        return await self._do(SEND_CHAT, given, idempotency_key)

"""Encryption of checkpoints at rest: AES-256-GCM, under the first of several keys."""

from __future__ import annotations

import hashlib
import os
from base64 import b64decode
from binascii import Error as BadBase64

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent_runtime.errors import StateLostError, UnavailableError, UnreadableError

_KEY = 32
_NAME = 4
_NONCE = 12


class Cipher:
    """Encrypts with the newest key; decrypts with the one that the ciphertext names.

    A ciphertext is 4 bytes of the key's SHA-256, 12 bytes of nonce, and what AES-GCM makes.
    """

    def __init__(self, keys: list[bytes]) -> None:
        """`keys` are of 32 bytes each, the newest first."""
        self._keys = {_name(key): AESGCM(key) for key in reversed(keys)}
        self._current = _name(keys[0])
        self._digest_key = hashlib.sha256(b"digest" + keys[0]).digest()

    @classmethod
    def of(cls, text: str) -> Cipher:
        """From what a Secret holds: a key in Base64 on each line, the newest first.

        Raises:
            UnavailableError: A line holds something else.
        """
        try:
            keys = [b64decode(line.strip(), validate=True) for line in text.splitlines() if line.strip()]
        except BadBase64:
            keys = []
        if not keys or any(len(key) != _KEY for key in keys):
            raise UnavailableError(
                "the key of `state.encryption.keySecretRef` must be 32 random bytes in Base64, or several such lines"
            )
        return cls(keys)

    @property
    def digest_key(self) -> bytes:
        """Makes digests of contents say nothing to who lacks the key."""
        return self._digest_key

    def encrypt(self, data: bytes, place: bytes) -> bytes:
        """The ciphertext, bound to the place where it is to stand."""
        nonce = os.urandom(_NONCE)
        return self._current + nonce + self._keys[self._current].encrypt(nonce, data, self._current + place)

    def decrypt(self, data: bytes, place: bytes) -> bytes:
        """What was encrypted.

        Raises:
            UnreadableError: Its key is not among the keys.
            StateLostError: The ciphertext was changed or moved.
        """
        name, nonce, text = data[:_NAME], data[_NAME : _NAME + _NONCE], data[_NAME + _NONCE :]
        key = self._keys.get(name)
        if key is None:
            raise UnreadableError(
                f"the state is encrypted with a key that is not there (its SHA-256 begins with {name.hex()}): "
                "add it as another line to the Secret of `state.encryption.keySecretRef`"
            )
        try:
            return key.decrypt(nonce, text, name + place)
        except InvalidTag:
            raise StateLostError(
                "encrypted state was changed or moved in MongoDB, and is not used: restore it from a backup, or delete "
                "the thread"
            ) from None


def _name(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:_NAME]

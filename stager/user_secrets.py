"""Users' secrets, which come with requests: sealed by the service's keys, so that the records give none away."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from stager.errors import ConfigurationError, InvalidSecret, SecretKeyMissing, SecretUnreadable

MAX_CHARACTERS = 4096
# Fernet itself passes over what follows the first key's "=".
KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
VISIBLE = re.compile(r"[!-~]*")  # what a header field takes that has no blanks (RFC 9110, section 5.5)


@dataclass(frozen=True)
class UserSecret:
    """A secret as a user gave it, and the keys that seal it for the request that it came with."""

    text: SecretStr
    keys: SecretKeys

    def sealed_for(self, request_id: str) -> bytes:
        """Return the secret sealed, for that request alone."""
        return self.keys.seal(self.text, request_id=request_id)


class SecretKeys:
    """The service's keys for users' secrets.

    Parameters
    ----------
    keys
        What ``STAGER_SECRET_KEY`` says: keys separated by blanks, of which the
        first seals and all unseal; None for no key.

    Raises
    ------
    ConfigurationError
        One of them is no key.

    Notes
    -----
    They are of Fernet's, https://cryptography.io/en/latest/fernet/: AES-128 in
    CBC mode and HMAC-SHA-256. The request's id is sealed with its secret, so
    that a sealed secret which is moved to another request opens nothing.
    """

    def __init__(self, keys: SecretStr | None) -> None:
        given = keys.get_secret_value().split() if keys else []
        self._keys = MultiFernet([_key(key, number) for number, key in enumerate(given, 1)]) if given else None

    def take(self, text: SecretStr) -> UserSecret:
        """Return a secret that a user gives, once it is known that it can be kept.

        Raises
        ------
        InvalidSecret
            It is empty, too long, or has line breaks or other characters that no token has.
        SecretKeyMissing
            There is no key.
        """
        if fault := _fault(text.get_secret_value()):
            raise InvalidSecret(fault)
        if self._keys is None:
            raise SecretKeyMissing
        return UserSecret(text, self)

    def seal(self, text: SecretStr, *, request_id: str) -> bytes:
        """Return a secret sealed for a request; raise `SecretKeyMissing` without a key."""
        if self._keys is None:
            raise SecretKeyMissing
        return self._keys.encrypt(f"{request_id}\n{text.get_secret_value()}".encode())

    def unseal(self, sealed: bytes, *, request_id: str) -> SecretStr:
        """Return the secret of a request.

        Raises
        ------
        SecretKeyMissing
            There is no key.
        SecretUnreadable
            None of the keys sealed it, it was changed, or it was sealed for another request.
        """
        if self._keys is None:
            raise SecretKeyMissing
        try:
            sealed_for, _, secret = self._keys.decrypt(sealed).decode().partition("\n")
        except InvalidToken:
            raise SecretUnreadable(request_id) from None
        if sealed_for != request_id:
            raise SecretUnreadable(request_id)
        return SecretStr(secret)


def _fault(secret: str) -> str | None:
    """Return what is wrong with a secret."""
    if not secret:
        return "is empty"
    if len(secret) > MAX_CHARACTERS:
        return f"has more than {MAX_CHARACTERS} characters"
    return None if VISIBLE.fullmatch(secret) else "has blanks, line breaks or characters beyond ASCII"


def _key(key: str, number: int) -> Fernet:
    if not KEY.fullmatch(key):
        reason = f"key {number} in it is not one of 32 bytes in URL-safe base64"
        raise ConfigurationError("STAGER_SECRET_KEY", reason)
    return Fernet(key)

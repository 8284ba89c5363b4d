"""The key of users' secrets: the operator's, or a random one for each installation."""

from __future__ import annotations

from cryptography.fernet import Fernet
from pydantic import SecretStr

from deployments.local.cannot_start import CannotStart
from deployments.local.settings import LocalSettings
from deployments.local.state import kept_text
from stager.errors import ConfigurationError
from stager.user_secrets import SecretKeys


def secret_key(settings: LocalSettings) -> str:
    """Return what ``STAGER_SECRET_KEY`` is to say: keys of which one is made at the first start.

    Raises
    ------
    CannotStart
        What the operator gives, or wrote into the file, is no key.
    """
    own, file = settings.secret_key, settings.secret_key_file
    keys = own.get_secret_value() if own else kept_text(file, lambda: Fernet.generate_key().decode())
    try:
        SecretKeys(SecretStr(keys))
    except ConfigurationError as error:
        message = f"{'STAGER_SECRET_KEY' if own else file}: {error.reason}"
        raise CannotStart(message) from None
    return keys

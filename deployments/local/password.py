"""Prefect's password: the operator's, or a random one for each installation."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

from deployments.local.cannot_start import CannotStart
from deployments.local.settings import LocalSettings
from deployments.local.state import kept_text

FORM = re.compile(r"[!-9;-~]+:[!-~]+")
VARIABLES = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")


@dataclass(frozen=True)
class Password:
    """Prefect's password, and where it is kept.

    Attributes
    ----------
    auth_string
        ``"USER:PASSWORD"``, as a whole what Prefect's pages call the password.
    place
        Where it lies: a file, or the operator's variable.
    is_new
        Whether nobody has been told of it.
    """

    auth_string: str = field(repr=False)
    place: str
    is_new: bool = False


def prefect_password(settings: LocalSettings) -> Password:
    """Return Prefect's password, made at the first start where the operator gives none.

    Raises
    ------
    CannotStart
        It is not of Prefect's form, or the operator gives two.
    """
    given = (settings.prefect_server_auth_string, settings.prefect_auth_string)
    own = {value.get_secret_value(): name for name, value in zip(VARIABLES, given, strict=True) if value}
    if len(own) > 1:
        message = f"{' and '.join(VARIABLES)} have different passwords: Prefect has only one, so set one of them"
        raise CannotStart(message)
    for auth_string, name in own.items():
        return _checked(Password(auth_string, name))
    file = settings.password_file
    is_new = not file.exists()
    auth_string = kept_text(file, lambda: f"stager:{secrets.token_urlsafe(24)}")
    return _checked(Password(auth_string, str(file), is_new=is_new))


def _checked(password: Password) -> Password:
    if not FORM.fullmatch(password.auth_string):
        message = f"Prefect's password in {password.place} is not USER:PASSWORD in ASCII without spaces: change it"
        raise CannotStart(message)
    return password

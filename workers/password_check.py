"""A check of Prefect's password, which says in a sentence that it is wrong before anything else fails."""

from __future__ import annotations

import sys

import httpx

from stager.prefect_http import PrefectAuth, prefect_trust
from stager.settings import get_settings

UNKNOWN_USER = (
    "{api} refuses the password: let PREFECT_API_AUTH_STRING be what its server has in PREFECT_SERVER_API_AUTH_STRING"
)
UNKNOWN_KEY = "{api} refuses the key: PREFECT_API_KEY is not one of its keys"


def check_password() -> None:
    """Check that Prefect accepts our password or key; pass if it does not answer yet.

    Raises
    ------
    SystemExit
        It refuses it.
    """
    settings = get_settings()
    api = settings.prefect_api_url
    try:
        answer = httpx.get(f"{api}/version", auth=PrefectAuth(settings), verify=prefect_trust(settings), timeout=10)
    except httpx.HTTPError:
        return
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        sys.exit((UNKNOWN_KEY if settings.shows_prefect_a_key else UNKNOWN_USER).format(api=api))

"""The banner that is printed once everything runs: the addresses, and a command to try."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import textwrap
from pathlib import Path
from urllib.parse import quote

from deployments.local.password import Password
from deployments.local.settings import MANUAL, LocalSettings
from stager.settings import AUTHENTICATION_IS_OFF

WIDTH = 100


def banner(settings: LocalSettings, *, product: Path, password: Password) -> str:
    """Return the banner, with all addresses and the command that stages a product."""
    return f"""
The staging service is ready.

    HTTP service    {settings.service_url}    (its calls: {settings.service_url}/docs)
    manual          {_manual(settings)}
    Prefect         {settings.prefect_url}
    its password    {_told(password)}
    storage area    {settings.storage}
    user areas      {settings.user_areas}
    records         {_without_password(settings.records_url)}
    logs            {settings.logs}

Stage a product, and wait for the result:

    {curl(settings, product=product)}
{_warning(settings)}
Ctrl-C stops everything.
"""


def _manual(settings: LocalSettings) -> str:
    is_built = (MANUAL / "index.html").exists()
    return f"{settings.service_url}/manual" if is_built else "`make docs` builds it"


def _told(password: Password) -> str:
    return f"{password.auth_string}    (kept in {password.place})" if password.is_new else f"in {password.place}"


def _warning(settings: LocalSettings) -> str:
    if settings.access_file:
        return ""
    return "\n" + textwrap.fill(f"{AUTHENTICATION_IS_OFF} See docs/how-to/authentication.md.", WIDTH) + "\n"


def curl(settings: LocalSettings, *, product: Path) -> str:
    """Return the command line that stages a product for whoever runs the stack."""
    query = f"method=local_copy&username={quote(_username())}"
    data = {"local_path_on_storage": str(product.relative_to(settings.storage)), "relative_path": product.name}
    body = shlex.quote(json.dumps({"data": data}))
    url = shlex.quote(f"{settings.service_url}/stage_data?{query}")
    return f"curl -X POST {url} -H 'Content-Type: application/json' -d {body}"


def _username() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run us as a number without an account
        return "USERNAME"


def _without_password(url: str) -> str:
    scheme, at, host = url.rpartition("@")
    return f"{scheme.rpartition(':')[0]}:***@{host}" if at and scheme.count(":") > 1 else url

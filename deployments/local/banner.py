"""The banner that is printed once everything runs: the addresses, and a command to try."""

from __future__ import annotations

import json
import shlex
import textwrap
from pathlib import Path
from urllib.parse import quote

from deployments.local.password import Password
from deployments.local.settings import MANUAL, LocalSettings, own_username
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
{_hub(settings)}    storage area    {settings.storage}
    user areas      {settings.user_areas}
    records         {_without_password(settings.records_url)}
    logs            {settings.logs}

Stage a product, and wait for the result:

    {curl(settings, product=product)}
{_into_notebook(settings, product)}{_warning(settings)}
Ctrl-C stops everything.
"""


def _hub(settings: LocalSettings) -> str:
    if not settings.hub:
        return ""
    return f"    JupyterHub      {settings.hub_url}    (log in as {own_username()}, with Prefect's password)\n"


def _into_notebook(settings: LocalSettings, product: Path) -> str:
    if not settings.hub:
        return ""
    line = curl(settings, product=product, method="jupyter_copy")
    return f"\nOr into your notebook server, which is started if it is down:\n\n    {line}\n"


def _manual(settings: LocalSettings) -> str:
    is_built = (MANUAL / "index.html").exists()
    return f"{settings.service_url}/manual" if is_built else "`make docs` builds it"


def _told(password: Password) -> str:
    return f"{password.auth_string}    (kept in {password.place})" if password.is_new else f"in {password.place}"


def _warning(settings: LocalSettings) -> str:
    if settings.access_file:
        return ""
    return "\n" + textwrap.fill(f"{AUTHENTICATION_IS_OFF} See docs/how-to/authentication.md.", WIDTH) + "\n"


def curl(settings: LocalSettings, *, product: Path, method: str = "local_copy") -> str:
    """Return the command line that stages a product for whoever runs the stack."""
    query = f"method={method}&username={quote(own_username())}"
    data = {"local_path_on_storage": str(product.relative_to(settings.storage)), "relative_path": product.name}
    body = shlex.quote(json.dumps({"data": data}))
    url = shlex.quote(f"{settings.service_url}/stage_data?{query}")
    return f"curl -X POST {url} -H 'Content-Type: application/json' -d {body}"


def _without_password(url: str) -> str:
    scheme, at, host = url.rpartition("@")
    return f"{scheme.rpartition(':')[0]}:***@{host}" if at and scheme.count(":") > 1 else url

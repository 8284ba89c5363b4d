"""Calls to Prefect's API that stand its SQLite being locked."""

from __future__ import annotations

import time
from typing import Any

import httpx

from tests.patience import PATIENCE
from tests.tls import TRUSTED


def ask_prefect(verb: str, url: str, body: dict[str, Any] | None = None) -> Any:
    """Return what Prefect's API answers; while its SQLite is locked, ask again, as its own client does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = httpx.request(verb, url, json=body, timeout=PATIENCE, verify=TRUSTED)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
            return answer.raise_for_status().json() if answer.content else None
        time.sleep(0.2)

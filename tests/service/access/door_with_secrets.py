"""A door that keeps users' secrets for local_copy too, as it does for methods that use them."""

from __future__ import annotations

from stager.api import intake
from stager.app import create_app

intake.WITH_SECRET |= {"local_copy"}

__all__ = ["create_app"]

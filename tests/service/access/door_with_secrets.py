"""A door that keeps users' secrets for local_copy too, as it does for methods that use them."""

from __future__ import annotations

from dataclasses import replace

from stager.app import create_app
from stager.methods.local_copy import LocalCopy

LocalCopy.promise = replace(LocalCopy.promise, takes_secret=True)

__all__ = ["create_app"]

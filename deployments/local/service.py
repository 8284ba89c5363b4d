"""The HTTP service of the stack: its processes end with granian's first one, also when that is killed."""

from __future__ import annotations

from fastapi import FastAPI

from deployments.local.orphans import end_with_parent
from stager import app


def create_app() -> FastAPI:
    """Return the application, in a process that no longer serves when nobody can tell it to stop."""
    end_with_parent()
    return app.create_app()

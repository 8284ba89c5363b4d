"""What the stack says when it does not start."""

from __future__ import annotations


class CannotStart(Exception):
    """Says in one sentence why the stack does not start, and what to do."""

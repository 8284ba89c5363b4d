"""The error of a stack that cannot start."""

from __future__ import annotations


class CannotStart(Exception):
    """The stack cannot start; the message says why and what to do, in one sentence."""

"""The staging methods that may be asked for: those that the operator allows and that are there."""

from __future__ import annotations

import structlog

from stager.methods import METHODS
from stager.records.downloads import DIRECT_DOWNLOAD
from stager.settings import Settings

logger = structlog.get_logger(__name__)


def offered_methods(settings: Settings) -> tuple[str, ...]:
    """Return their names."""
    return tuple(name for name in settings.allowed_methods if name in METHODS or name == DIRECT_DOWNLOAD)


def tell_of_methods(settings: Settings) -> None:
    """Log which of those that the operator allows are none."""
    if missing := [name for name in settings.allowed_methods if name not in offered_methods(settings)]:
        logger.warning("ALLOWED_METHODS names what is no method here: it is not offered", methods=missing)

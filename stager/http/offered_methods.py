"""The staging methods that a site offers: those that the operator allows and that exist there."""

from __future__ import annotations

import structlog

from stager.methods.all_methods import METHODS
from stager.methods.jupyter_copy import JupyterCopy
from stager.records.downloads import DIRECT_DOWNLOAD
from stager.settings import Settings

logger = structlog.get_logger(__name__)


def offered_methods(settings: Settings) -> tuple[str, ...]:
    """Return the names of the methods that the site offers; to notebook servers, where the settings name a hub."""
    known = {*METHODS, DIRECT_DOWNLOAD}
    if settings.hub_url is None:
        known.discard(JupyterCopy.name)
    return tuple(name for name in settings.allowed_methods if name in known)


def tell_of_methods(settings: Settings) -> None:
    """Log the allowed names that are not methods."""
    if missing := [name for name in settings.allowed_methods if name not in offered_methods(settings)]:
        logger.warning("ALLOWED_METHODS names a method that does not exist here; it is not offered", methods=missing)

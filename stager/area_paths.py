"""A user's paths in a storage area: their root, and their locations."""

from __future__ import annotations

from pathlib import Path

from stager.models import StorageArea
from stager.paths import Location, locate, user_folder


def root_of(area: StorageArea, username: str) -> Path:
    """Return the root of a user's paths in an area: the area itself, or the user's folder in a user area.

    Raises
    ------
    InvalidPath
        The name is not that of one folder.
    """
    return user_folder(area.path, username) if area.per_user else area.path


def seen_by_users(area: StorageArea) -> StorageArea:
    """Return an area at the path where users see it."""
    return area if area.path_for_users is None else area.model_copy(update={"path": area.path_for_users})


def place_in(area: StorageArea, username: str, path: str) -> Location:
    """Return the location that a user's path names in an area, by lexical rules alone, as `locate` does."""
    return locate(root_of(area, username), path)

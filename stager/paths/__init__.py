"""Paths of users, which are confined by directory descriptors, never by strings."""

from stager.paths.beneath import Symlinks, open_beneath
from stager.paths.descriptor import Descriptor
from stager.paths.directory import (
    MOST_KEPT,
    folders_kept,
    make_directories,
    open_area,
    open_folder,
    open_location,
    open_root,
)
from stager.paths.home import make_home, open_home
from stager.paths.lent import Lender, LentFolder
from stager.paths.location import MAX_PATH_BYTES, RESERVED_PREFIX, Location, locate, names_in, user_folder
from stager.paths.place import Place

__all__ = [
    "MAX_PATH_BYTES",
    "MOST_KEPT",
    "RESERVED_PREFIX",
    "Descriptor",
    "Lender",
    "LentFolder",
    "Location",
    "Place",
    "Symlinks",
    "folders_kept",
    "locate",
    "make_directories",
    "make_home",
    "names_in",
    "open_area",
    "open_beneath",
    "open_folder",
    "open_home",
    "open_location",
    "open_root",
    "user_folder",
]

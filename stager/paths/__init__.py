"""A user's path is confined by directory descriptors, never by strings."""

from stager.paths.beneath import Symlinks, open_beneath
from stager.paths.directory import Descriptor, make_directories, open_area, open_location
from stager.paths.location import RESERVED_PREFIX, Location, locate

__all__ = [
    "RESERVED_PREFIX",
    "Descriptor",
    "Location",
    "Symlinks",
    "locate",
    "make_directories",
    "open_area",
    "open_beneath",
    "open_location",
]

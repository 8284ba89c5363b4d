"""What Alice tries: ways to what is not hers. The tables of docs/reference/attacks.md are these."""

from __future__ import annotations

from dataclasses import dataclass

# Where a path of ours is meant: the areas' own folder.
AREAS_FOLDER = "{areas}"


@dataclass(frozen=True)
class Place:
    """A path in an area, as Alice writes it."""

    area: str
    path: str
    # A folder that she may list: what is in it is not hers all the same.
    may_be_listed: bool = False
    # In a folder that she may list: that it is there is no secret.
    is_in_sight: bool = False


READING = {
    "root's file": Place("source", "roots", is_in_sight=True),
    "another's file (0600)": Place("source", "bobs", is_in_sight=True),
    "a file of another's group (0640)": Place("source", "bobs-groups", is_in_sight=True),
    "another's closed folder": Place("source", "bobs-folder", is_in_sight=True),
    "a file that all may read, in another's closed folder": Place("source", "bobs-folder/inner"),
    "another's file in a group's folder (2770)": Place("source", "shared/private", is_in_sight=True),
    "another's closed folder in a group's folder": Place("source", "shared/closed", is_in_sight=True),
    "a link of hers, in the source, to root's file": Place("source", "shared/to-roots", is_in_sight=True),
    "a link of hers, in the source, into a closed folder": Place("source", "shared/to-folder/inner"),
    "a link of hers out of the source": Place("source", "shared/out/private"),
    "an absolute link of hers out of the source": Place("source", "shared/away/group"),
    "a link of hers to /etc": Place("source", "shared/etc/shadow"),
    "upwards out of the source": Place("source", "../user_areas/bob/group"),
    "another's file by its whole path, as a source": Place("source", f"{AREAS_FOLDER}/bob/group"),
    "a process's own folder": Place("source", "/proc/self/environ"),
    "a tree with another's file in it": Place("source", "mixed", may_be_listed=True),
    "another's folder by its name": Place("user", "bob"),
    "another's file by its folder's name": Place("user", "bob/group"),
    "upwards into another's folder": Place("user", "../bob/group"),
    "another's file by its whole path, in a user's area": Place("user", f"{AREAS_FOLDER}/bob/group"),
    "a link to another's folder (ln -s ../bob l)": Place("user", "l"),
    "a file behind a link to another's folder": Place("user", "l/group"),
    "a folder behind a link to another's folder": Place("user", "l/closed"),
    "an absolute link to another's folder": Place("user", "absolute/group"),
    "a link upwards": Place("user", "up/bob/group"),
    "a link to another's file": Place("user", "to-file"),
    "a link from a user's area to the source": Place("user", "to-source/bobs"),
    "a link to root's file": Place("user", "to-roots"),
    "a link in her folder to /etc": Place("user", "etc/shadow"),
    "a link to a process's root": Place("user", "proc/etc/shadow"),
    "another's file that lies in her folder": Place("user", "bobs"),
    "root's file that lies in her folder": Place("user", "roots"),
    "a tree of hers with another's file and a link out in it": Place("user", "mixed", may_be_listed=True),
}

WRITING = {
    "upwards into another's folder": "../bob/planted",
    "another's folder by its whole path": f"{AREAS_FOLDER}/bob/planted",
    "a link to another's folder": "l/planted",
    "an absolute link to another's folder": "absolute/planted",
    "a link upwards": "up/bob/planted",
    "a link to the source": "to-source/planted",
    "her own folder that she may not write to (0500)": "locked/planted",
    "another's folder in her folder": "bobs-folder/planted",
    "root's folder in her folder": "roots-folder/planted",
    "over another's file in her folder": "bobs",
    "over root's file in her folder": "roots",
    "over another's folder in her folder": "bobs-tree",
    "over root's folder in her folder": "roots-tree",
}

# What is said beside the paths of a staging.
NAMING: dict[str, dict[str, str]] = {
    "the source as the destination": {"destination_area": "source"},
    "source and destination exchanged": {"source_area": "user", "destination_area": "source"},
    "an area that is none": {"destination_area": "no-such-area"},
    "upwards as an area": {"destination_area": "../source"},
    "another's name": {"username": "bob"},
    "root's name": {"username": "root"},
    "upwards as a name": {"username": "../bob"},
}

"""Whose is what: two users' things and root's, in the areas of a site."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from stager.paths import RESERVED_PREFIX

UIDS = {"root": 0, "alice": 70_001, "bob": 70_002}
OWN_GROUPS = {"root": 0, "alice": 70_021, "bob": 70_022}
COMMON = 70_011
USERS_FILE = "".join(
    f"[users.{name}]\nuid = {UIDS[name]}\ngid = {OWN_GROUPS[name]}\ngroups = [{COMMON}]\n" for name in ("alice", "bob")
)
# What is in files that Alice may not read, what is in those that she may, and a name in folders that she may not list.
MARK, SHARED, TOLD = b"not for alice", b"for alice too", "never-told"
# In which an area is, by its folder's mode.
AREAS = {
    "open": {"storage": 0o755, "areas": 0o755},
    "users' areas closed": {"storage": 0o755, "areas": 0o700},
    "source closed": {"storage": 0o700, "areas": 0o755},
}


@dataclass(frozen=True)
class World:
    """The areas of a site."""

    storage: Path
    areas: Path

    @property
    def alice(self) -> Path:
        return self.areas / "alice"

    @property
    def bob(self) -> Path:
        return self.areas / "bob"

    def shut(self, state: str) -> None:
        """Open or close the areas."""
        for name, mode in AREAS[state].items():
            (self.storage if name == "storage" else self.areas).chmod(mode)

    def build(self) -> None:
        """Fill the areas with what is whose."""
        _storage(self.storage, self.areas)
        _of_bob(self.bob)
        _of_alice(self.alice, self.areas)

    def outside(self) -> dict[str, tuple[object, ...]]:
        """Return all that is there and not Alice's, and how it is; what is in a folder is said by itself."""
        found = {}
        for root in (self.storage, self.areas):
            for path in sorted(root.rglob("*")):
                about = path.lstat()
                if not path.is_relative_to(self.alice) or about.st_uid != UIDS["alice"]:
                    found[str(path)] = _facts(path, about)
        return found


def _facts(path: Path, about: os.stat_result) -> tuple[object, ...]:
    who = (about.st_ino, about.st_mode, about.st_uid, about.st_gid)
    if stat.S_ISREG(about.st_mode):
        content = path.read_bytes()
        further_names = about.st_nlink if content == MARK else None  # what others may read may be linked to
        return (*who, about.st_mtime_ns, content, further_names)
    return (*who, str(path.readlink())) if stat.S_ISLNK(about.st_mode) else who


def folder(path: Path, owner: str, mode: int, *, group: int | None = None) -> Path:
    """Make a folder of somebody's."""
    path.mkdir(exist_ok=True)
    os.chown(path, UIDS[owner], OWN_GROUPS[owner] if group is None else group)
    path.chmod(mode)
    return path


def file(path: Path, owner: str, mode: int, data: bytes = MARK, *, group: int | None = None) -> Path:
    """Make a file of somebody's."""
    path.write_bytes(data)
    os.chown(path, UIDS[owner], OWN_GROUPS[owner] if group is None else group)
    path.chmod(mode)
    return path


def link(path: Path, leads_to: str | Path, owner: str = "alice") -> None:
    """Make a symbolic link of somebody's."""
    path.symlink_to(leads_to)
    os.chown(path, UIDS[owner], OWN_GROUPS[owner], follow_symlinks=False)


def _storage(storage: Path, areas: Path) -> None:
    file(storage / "a.fits", "root", 0o644, SHARED)
    file(storage / "roots", "root", 0o600)
    file(storage / "bobs", "bob", 0o600)
    file(storage / "bobs-groups", "bob", 0o640)
    _closed(storage / "bobs-folder", "bob")
    mixed = folder(storage / "mixed", "root", 0o755)
    file(mixed / "own", "root", 0o644, SHARED)
    file(mixed / "bobs", "bob", 0o600)
    shared = folder(storage / "shared", "root", 0o2770, group=COMMON)
    file(shared / "open", "bob", 0o640, SHARED, group=COMMON)
    file(shared / "private", "bob", 0o600, group=COMMON)
    _closed(shared / "closed", "bob")
    for name, leads_to in (("to-roots", "../roots"), ("to-folder", "../bobs-folder"), ("away", areas / "bob")):
        link(shared / name, leads_to)
    link(shared / "out", "../../user_areas/bob")
    link(shared / "etc", "/etc")
    for way in ("l", "absolute", "up/bob", "to-source"):  # what a Tape call names is its destination too
        (storage / way).mkdir(parents=True)
        file(storage / way / "planted", "root", 0o644, SHARED)


def _closed(path: Path, owner: str) -> None:
    """Make a folder that only its owner enters, of files that everybody could read."""
    folder(path, owner, 0o700)
    file(path / "inner", owner, 0o644)
    file(path / TOLD, owner, 0o644)


def _of_bob(bob: Path) -> None:
    """Make Bob's folder, which its modes open to the group that he shares with Alice: it is his all the same."""
    folder(bob, "bob", 0o2770, group=COMMON)
    file(bob / "private", "bob", 0o600)
    file(bob / "group", "bob", 0o640, group=COMMON)
    file(bob / TOLD, "bob", 0o644)
    _closed(bob / "closed", "bob")
    team = folder(bob / "team", "bob", 0o2770, group=COMMON)
    left = os.fsdecode(RESERVED_PREFIX) + "%016x"
    for name in ("private", "group", left % 1):
        file(team / name, "bob", 0o640, group=COMMON)
    file(team / (left % 1 + ".lock"), "bob", 0o640, b"", group=COMMON)
    file(team / (left % 2), "alice", 0o600)
    file(team / (left % 2 + ".lock"), "alice", 0o600, b"")


def _of_alice(alice: Path, areas: Path) -> None:
    folder(alice, "alice", 0o755)
    file(alice / "own", "alice", 0o600, SHARED)
    ways: dict[str, str | Path] = {"l": "../bob", "absolute": areas / "bob", "up": "..", "to-file": "../bob/group"}
    ways |= {"to-source": "../../storage", "to-roots": "../../storage/roots", "etc": "/etc", "proc": "/proc/self/root"}
    for name, leads_to in ways.items():
        link(alice / name, leads_to)
    file(alice / "bobs", "bob", 0o600)
    file(alice / "roots", "root", 0o600)
    for owner in ("bob", "root"):
        for kind in ("folder", "tree"):
            file(folder(alice / f"{owner}s-{kind}", owner, 0o755) / "kept", owner, 0o644, SHARED)
    folder(alice / "locked", "alice", 0o500)
    mixed = folder(alice / "mixed", "alice", 0o755)
    file(mixed / "own", "alice", 0o600, SHARED)
    file(mixed / "bobs", "bob", 0o600)
    link(mixed / "l", "../../bob")

"""Places at users' notebook servers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import httpx

from stager.errors import InvalidPath
from stager.paths import locate
from stager.peers.jupyter import check_path

# What the temporary names begin with: beside it, digits of the key of the destination.
TEMPORARY = re.compile("stager-(?P<digits>[0-9a-f]{16})-")


@dataclass(frozen=True, kw_only=True)
class NotebookPath:
    """A file or a folder that a user's notebook server shows, or is to show.

    Attributes
    ----------
    hub
        The address of its hub.
    username
        The user's name at the hub.
    server
        The server's; the default server has an empty one.
    names
        Below the folder that the server shows.
    """

    hub: str
    username: str
    server: str
    names: tuple[str, ...]

    @property
    def key(self) -> str:
        """``jupyter:HUB/USER/SERVER/PATH``.

        Hubs spell users' names in lower case, and by whichever scheme they are reached, they are the same.
        """
        hub = httpx.URL(self.hub)
        address = f"{hub.netloc.decode('ascii')}{hub.path}".rstrip("/")
        user, server = quote(self.username.lower(), safe=""), quote(self.server, safe="")
        return "/".join((f"jupyter:{address}", user, server, *self.names))

    @property
    def path(self) -> str:
        """The path as the server and its user see it."""
        return "/".join(self.names)

    @property
    def display(self) -> str:
        """The same, for messages."""
        return self.path

    @property
    def parent(self) -> NotebookPath:
        """The folder that it is in; for the uppermost, itself."""
        return replace(self, names=self.names[:-1])

    @property
    def lab_url(self) -> str:
        """The address that opens it in JupyterLab."""
        server = (self.username, self.server) if self.server else (self.username,)
        names = "/".join(quote(name, safe="") for name in ("user", *server, "lab", "tree", *self.names))
        return f"{self.hub.rstrip('/')}/{names}"

    def beside(self, name: str) -> str:
        """Return the path of another name in the same folder."""
        return "/".join((*self.names[:-1], name))


def notebook_path(text: str, *, hub: str, username: str, folder: str = "", server: str = "") -> NotebookPath:
    """Return the place that a user's path names at their notebook server, by the rules of `locate`.

    Two spellings that are one in a folder (``a//b``) are one there, too.

    Parameters
    ----------
    folder
        Where the path begins, and which it does not leave.

    Raises
    ------
    NameNotTaken
        The server takes no such name.
    InvalidPath, PathOutsideArea
        As by `locate`; or a name is one of our temporary ones.
    """
    parts = locate(Path(f"the notebook server of {username}"), text).parts
    names = tuple(part.decode("utf-8", "surrogateescape") for part in parts)
    names = (*folder.split("/"), *names) if folder else names
    check_path("/".join(names))
    if any(map(TEMPORARY.match, names)):
        raise InvalidPath(text, "such a name is a temporary one of the staging service's")
    return NotebookPath(hub=hub, username=username, server=server, names=names)

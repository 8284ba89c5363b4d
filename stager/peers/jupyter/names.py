"""Names as a notebook server takes them, and as they stand in addresses."""

from __future__ import annotations

from urllib.parse import quote

from stager.errors import NameNotTaken

# Bytes of a name and of a path below the server's folder: what file systems take (pathconf(3)), less what the
# folder itself may be; a longer one does not fit into the header of a call either, each byte as three.
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 3072
# The contents API has addresses of its own that end so; with one letter escaped, a name that is the same is a name.
_ROUTES = {"checkpoints": "%63heckpoints", "trust": "%74rust"}


def check_path(path: str) -> None:
    """Refuse a path that the notebook server would refuse, or take for another.

    Parameters
    ----------
    path
        Below the folder that the server shows, without a slash at its ends.

    Raises
    ------
    NameNotTaken
        With the name that is in the way, and why.

    Notes
    -----
    Jupyter Server 2.21, ``services/contents/filemanager.py`` and ``handlers.py``:
    hidden names are refused unless the server's ``allow_hidden`` is set.
    """
    for name in path.split("/"):
        if reason := _refusal(name):
            raise NameNotTaken(path, reason)
    if len(path.encode()) > MAX_PATH_BYTES:
        raise NameNotTaken(path, f"the path is longer than {MAX_PATH_BYTES} bytes")


def _refusal(name: str) -> str | None:
    if not name:
        return "a name is empty"
    if name.startswith("."):
        return f"{name!r} begins with a dot, and such names are hidden there"
    if "\0" in name:
        return f"{name!r} has a zero byte"
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return f"{name!r} is not UTF-8"
    return f"{name!r} is longer than {MAX_NAME_BYTES} bytes" if length > MAX_NAME_BYTES else None


def in_address(path: str) -> str:
    """Return a path as it stands in an address of the contents API: each name escaped once."""
    return "/".join(_ROUTES.get(name) or quote(name, safe="") for name in path.split("/"))


def user_in_address(name: str) -> str:
    """Return a user's or a server's name as JupyterHub escapes it (``jupyterhub.utils.url_escape_path``)."""
    return quote(name, safe="@~")

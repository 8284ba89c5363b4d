"""JupyterHub and the notebook servers behind it.

`HubConnection` is what an operator says of a hub, and `check_hub` tells what is
wrong with that; `Hub` finds, starts and stops a user's notebook server;
`Contents` has the files that the server shows; `upload` brings one there; a
kernel makes them read-only, which the contents API cannot.

Notes
-----
JupyterHub's REST API: https://jupyterhub.readthedocs.io/en/stable/reference/rest-api.html.
Jupyter Server's: https://jupyter-server.readthedocs.io/en/latest/developers/rest-api.html.
"""

from stager.peers.jupyter.by_kernel import (
    is_as_told,
    is_seen_by_kernel,
    lay_out,
    look_by_kernel,
    look_with_checksum,
    remove_by_kernel,
    seal,
)
from stager.peers.jupyter.check import check_hub
from stager.peers.jupyter.connection import HubConnection
from stager.peers.jupyter.contents import CALLS_AT_ONCE, Contents
from stager.peers.jupyter.entry import Entry
from stager.peers.jupyter.hub import Hub
from stager.peers.jupyter.kernel import NotDoneByKernel
from stager.peers.jupyter.names import check_path
from stager.peers.jupyter.progress import Progress
from stager.peers.jupyter.room import room_in
from stager.peers.jupyter.server import ServerState
from stager.peers.jupyter.starting import start, stop
from stager.peers.jupyter.upload import Uploaded, check, publish, sent_as, upload, verified
from stager.peers.open_source import OpenSource

__all__ = [
    "CALLS_AT_ONCE",
    "Contents",
    "Entry",
    "Hub",
    "HubConnection",
    "NotDoneByKernel",
    "OpenSource",
    "Progress",
    "ServerState",
    "Uploaded",
    "check",
    "check_hub",
    "check_path",
    "is_as_told",
    "is_seen_by_kernel",
    "lay_out",
    "look_by_kernel",
    "look_with_checksum",
    "publish",
    "remove_by_kernel",
    "room_in",
    "seal",
    "sent_as",
    "start",
    "stop",
    "upload",
    "verified",
]

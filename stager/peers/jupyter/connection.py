"""How a hub is reached, and what is done there: all that its operator says of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator

from stager.errors import ConfigurationError, NameNotTaken
from stager.peers.certificates import trusting
from stager.peers.http import Calls
from stager.peers.jupyter.hub import SERVICES_NEEDS, USERS_NEEDS, Hub, hub_address
from stager.peers.jupyter.names import check_path

Name = Annotated[str, StringConstraints(min_length=1)]
EVERYBODY_ELSE = "*"
_USERNAME = "{username}"


class HubConnection(BaseModel):
    """A JupyterHub into whose notebook servers data are brought."""

    model_config = ConfigDict(hide_input_in_errors=True)  # there may be a password in an address

    url: str = Field(
        title="Address",
        description="The hub as its users open it, without /hub at its end: https://hub.example.org.",
    )
    url_for_runs: str = Field(
        "",
        title="Address for flow runs",
        description="Where flow runs reach it by another address, such as http://proxy-public.jupyterhub.",
    )
    token: SecretStr = Field(
        SecretStr(""),
        title="Token",
        description="Of a service of the hub's, whose role has the scopes read:users, servers and tokens. "
        "Without one, each request needs a token of its user's.",
    )
    certificates: str = Field(
        "",
        title="Certificates",
        description="Of the authorities that the hub's certificate may be from, as PEM; "
        "where empty, the usual authorities count.",
    )
    starts_servers: bool = Field(
        default=True,
        title="Start notebook servers",
        description="Whether a user's notebook server is started if it is down; else the request fails and says so.",
    )
    start_seconds: float = Field(
        300.0,
        gt=0,
        title="Wait for a start",
        description="How long a notebook server may take to start, in seconds.",
    )
    stops_servers: bool = Field(
        default=False,
        title="Stop them again",
        description="Whether a notebook server that was started for a request is stopped when the data are there, "
        "whoever uses it by then.",
    )
    usernames: dict[str, Name] = Field(
        {},
        title="Names at the hub",
        description='For users whose name at the hub is not that of their account: {"alice": "a.smith"}. '
        'The user * is everybody else: {"*": "{username}@example.org"}. Hubs write most names in lower case.',
    )
    folder: str = Field(
        "",
        title="Folder for the data",
        description="Where the paths of requests begin in a notebook server's file browser: home/{username}, "
        "if that shows a whole file system; where empty, in its uppermost folder.",
    )
    root: str = Field(
        "~",
        pattern=r"^[/~]",
        title="Path of the uppermost folder",
        description="Where the file browser's uppermost folder is for a notebook's code: ~ or /home/jovyan/work. "
        "Receipts have paths and code for notebooks with it.",
    )

    max_transfers: int = Field(
        16,
        ge=1,
        le=256,
        title="Transfers at once",
        description="How many files and directories are brought to its notebook servers at a time, by all flow runs "
        "together; of one user no more than half as many. Others wait.",
    )
    max_bytes_per_second: int = Field(
        0,
        ge=0,
        title="Bytes per second",
        description="How fast all transfers to its notebook servers are together; 0 for as fast as they can.",
    )

    @field_validator("url", "url_for_runs")
    @classmethod
    def _check_address(cls, url: str) -> str:
        try:
            return str(hub_address(url)) if url else url
        except ConfigurationError as error:
            raise ValueError(error.reason) from None

    @field_validator("url")
    @classmethod
    def _check_that_there_is_one(cls, url: str) -> str:
        if not url:
            reason = "the hub's address is missing"
            raise ValueError(reason)
        return url

    @field_validator("certificates")
    @classmethod
    def _check_certificates(cls, certificates: str) -> str:
        if certificates:
            trusting(certificates)
        return certificates

    @field_validator("folder")
    @classmethod
    def _check_folder(cls, folder: str) -> str:
        try:
            check_path(folder.strip("/") or "data")
        except NameNotTaken as error:
            raise ValueError(error.message) from None
        return folder.strip("/")

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return f"The notebook hub {self.url}".rstrip("/")

    @contextmanager
    def opened(self, own: SecretStr | None = None) -> Iterator[Hub]:
        """Give the hub, to ask it.

        Parameters
        ----------
        own
            A token of the user's own, which is used in the service's stead.

        Raises
        ------
        ConfigurationError
            There is neither.
        """
        token = own or self.token
        if not token:
            raise ConfigurationError(self.title, "there is no token for it, and the request has none of its user's")
        with self.calls() as calls:
            yield self.hub(calls, token, needs=USERS_NEEDS if own else SERVICES_NEEDS)

    def calls(self) -> Calls:
        """Return what calls it, and trusts those whom the operator trusts."""
        return Calls(trust=trusting(self.certificates) if self.certificates else None)

    def hub(self, calls: Calls, token: SecretStr, *, needs: str = SERVICES_NEEDS) -> Hub:
        """Return the hub, as flow runs reach it."""
        return Hub(self.url_for_runs or self.url, token, calls, public_url=self.url, needs=needs)

    def username_at_hub(self, account: str) -> str:
        """Return what the hub calls a user.

        Raises
        ------
        ConfigurationError
            That is the name that the operator gives to somebody else.
        """
        named = {user: name for user, name in self.usernames.items() if user != EVERYBODY_ELSE}
        if account in named:
            return named[account]
        name = self.usernames.get(EVERYBODY_ELSE, _USERNAME).replace(_USERNAME, account)
        for user, taken in named.items():
            if taken.lower() == name.lower():  # a hub whose database knows no case takes them for one
                reason = f"{name} is the name of {user} there, and {account} has none"
                raise ConfigurationError(self.title, reason)
        return name

    def folder_of(self, account: str) -> str:
        """Return the folder in which the paths of a user's requests begin; it is empty where that is the uppermost."""
        return self.folder.replace(_USERNAME, account)

"""Where the local stack keeps its state and listens; the only reader of the environment here."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parents[2]
# The folder into which `make docs` builds the manual.
MANUAL = CHECKOUT / "build" / "manual"


class LocalSettings(BaseSettings):
    """What a caller of ``make up`` can choose, with its default."""

    model_config = SettingsConfigDict(env_prefix="STAGER_", frozen=True, populate_by_name=True)

    state_dir: Path = Field(
        CHECKOUT / ".run",
        description="Folder of the installation: `state` in it is closed to other accounts, "
        "the demo's storage and user areas lie beside that.",
    )
    host: str = Field("127.0.0.1", description="Address that the HTTP service listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port of the HTTP service.")
    prefect_port: int = Field(
        4200,
        ge=1,
        le=65535,
        validation_alias=AliasChoices("PREFECT_SERVER_API_PORT", "prefect_port"),
        description="Port of Prefect's server, which listens on the loopback only.",
    )
    source_storage_path: Path | None = Field(
        None,
        validation_alias=AliasChoices("SOURCE_STORAGE_PATH", "source_storage_path"),
        description="The storage area; by default a demo area, `storage` in the installation's folder.",
    )
    target_storage_path: Path | None = Field(
        None,
        validation_alias=AliasChoices("TARGET_STORAGE_PATH", "target_storage_path"),
        description="The users' areas; by default `user_areas` in the installation's folder.",
    )
    database_url: str | None = Field(None, description="Records database; by default SQLite in the state folder.")
    prefect_server_auth_string: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("PREFECT_SERVER_API_AUTH_STRING", "prefect_server_auth_string"),
        description="Prefect's password, as USER:PASSWORD; by default a random one, in the state folder.",
    )
    prefect_auth_string: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("PREFECT_API_AUTH_STRING", "prefect_auth_string"),
        description="The same as PREFECT_SERVER_API_AUTH_STRING; one of the two is enough.",
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Keys that seal users' secrets in the records; by default a random one, in the state folder.",
    )
    access_file: Path | None = Field(
        None, description="The access file, which says who may do what; without it, authentication is off."
    )
    hub: bool = Field(
        default=False,
        description="Whether a JupyterHub is started beside the service: `make up HUB=1` sets it.",
    )
    hub_port: int = Field(
        8001,
        ge=1,
        le=65533,
        description="Port of that JupyterHub, which listens on the loopback only, as on the next two.",
    )

    @property
    def folder(self) -> Path:
        """The installation's folder as an absolute path; others may enter it."""
        return self.state_dir.absolute()

    @property
    def state(self) -> Path:
        """The folder of databases, logs and passwords, which no other account can enter."""
        return self.folder / "state"

    @property
    def password_file(self) -> Path:
        """Where Prefect's password is kept when the operator gives none."""
        return self.state / "prefect-password"

    @property
    def secret_key_file(self) -> Path:
        """Where the key of users' secrets is kept when the operator gives none."""
        return self.state / "secret-key"

    @property
    def logs(self) -> Path:
        """The folder of the parts' logs."""
        return self.state / "logs"

    @property
    def storage(self) -> Path:
        """The storage area that products are staged from."""
        return (self.source_storage_path or self.folder / "storage").absolute()

    @property
    def user_areas(self) -> Path:
        """The folder that holds a folder for each user."""
        return (self.target_storage_path or self.folder / "user_areas").absolute()

    @property
    def notebooks(self) -> Path:
        """The folder that holds a home for each user of the hub's notebook servers."""
        return self.folder / "notebooks"

    @property
    def records_url(self) -> str:
        """The URL of the records database."""
        return self.database_url or f"sqlite:///{self.state / 'records.db'}"

    @property
    def service_url(self) -> str:
        """The address of the HTTP service on this machine."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - a comparison, not a bind
        return f"http://{host}:{self.port}"

    @property
    def prefect_url(self) -> str:
        """The address of Prefect's pages; its API is below it at ``/api``."""
        return f"http://127.0.0.1:{self.prefect_port}"

    @property
    def hub_url(self) -> str:
        """The address of the JupyterHub, if one is started."""
        return f"http://127.0.0.1:{self.hub_port}"

    @property
    def hub_ports(self) -> tuple[int, int, int]:
        """The ports of the JupyterHub: what browsers open, the hub behind that, and what sets up its proxy."""
        return self.hub_port, self.hub_port + 1, self.hub_port + 2


def own_username() -> str:
    """Return the name of the account that runs the stack."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run us as a number without an account
        return "USERNAME"


def service_environment(settings: LocalSettings) -> dict[str, str]:
    """Return the environment variables that connect the service to this stack."""
    return {
        "SOURCE_STORAGE_PATH": str(settings.storage),
        "TARGET_STORAGE_PATH": str(settings.user_areas),
        "STAGER_DATABASE_URL": settings.records_url,
        "STAGER_LOG_FILE": str(settings.logs / "staging_service.log"),
        "STAGER_PUBLIC_URL": settings.service_url,
        "STAGER_MANUAL": str(MANUAL),
    }


def prefect_environment(settings: LocalSettings) -> dict[str, str]:
    """Return the environment variables that keep Prefect within the state folder, and turn off telemetry.

    Notes
    -----
    Prefect's pages are copied to a folder of the stack's own, because their
    default place is inside the installed package, where a second stack with
    another port would overwrite them.
    """
    return {
        "PREFECT_HOME": str(settings.state / "prefect"),
        "PREFECT_API_URL": f"{settings.prefect_url}/api",
        "PREFECT_UI_URL": settings.prefect_url,
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(settings.prefect_port),
        "PREFECT_SERVER_UI_API_URL": "/api",  # by whichever name a browser came
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(settings.state / "prefect" / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",  # as the server's is: each run need not ask
        "DO_NOT_TRACK": "1",
        "PREFECT_CLI_COLORS": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        "PREFECT_WORKER_PREFETCH_SECONDS": "0",
    }


def stack_environment(settings: LocalSettings, auth_string: str) -> dict[str, str]:
    """Return the environment of every part: the caller's, with the stack's variables on top.

    A caller's own Prefect (profile, account, address) never leaks in. Unless the
    caller says how many shards of a request are done side by side, it is one for
    each two cores, so that others' requests stay quick beside them.

    Parameters
    ----------
    auth_string
        Prefect's password, for its server and for whoever asks it.
    """
    foreign = {
        "PREFECT_PROFILE",
        "PREFECT_API_KEY",
        "PREFECT_CLIENT_CUSTOM_HEADERS",
        "PREFECT_API_DATABASE_CONNECTION_URL",
    }
    inherited = {name: value for name, value in os.environ.items() if name not in foreign}
    password = {"PREFECT_SERVER_API_AUTH_STRING": auth_string, "PREFECT_API_AUTH_STRING": auth_string}
    ours = {
        "PATH": _path(str(Path(sys.executable).parent), inherited.get("PATH")),
        "PWD": str(CHECKOUT),
        "PYTHONPATH": _path(str(CHECKOUT), inherited.get("PYTHONPATH")),
        "PYTHONUNBUFFERED": "1",
    }
    # A run and its mover fill about one core, and the parts that serve them another.
    unless_said = {"STAGER_MAX_SHARDS": str(max(1, min(4, len(os.sched_getaffinity(0)) // 2)))}
    served = {**service_environment(settings), **prefect_environment(settings)}
    return {**unless_said, **inherited, **ours, **password, **served}


def _path(*parts: str | None) -> str:
    return os.pathsep.join(filter(None, parts))

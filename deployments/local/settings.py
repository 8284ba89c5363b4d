"""Where the local stack keeps its state and listens; the only reader of the environment here."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parents[2]


class LocalSettings(BaseSettings):
    """What a caller of ``make up`` can choose, with its default."""

    model_config = SettingsConfigDict(env_prefix="STAGER_", frozen=True, populate_by_name=True)

    state_dir: Path = Field(CHECKOUT / ".run", description="Folder of all state: databases, logs, demo storage.")
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
        description="The storage area; by default a demo area within the state folder.",
    )
    target_storage_path: Path | None = Field(
        None,
        validation_alias=AliasChoices("TARGET_STORAGE_PATH", "target_storage_path"),
        description="The users' areas; by default within the state folder.",
    )
    database_url: str | None = Field(None, description="Records database; by default SQLite in the state folder.")

    @property
    def state(self) -> Path:
        """The state folder as an absolute path."""
        return self.state_dir.absolute()

    @property
    def logs(self) -> Path:
        """The folder of the parts' logs."""
        return self.state / "logs"

    @property
    def storage(self) -> Path:
        """The storage area that products are staged from."""
        return (self.source_storage_path or self.state / "storage").absolute()

    @property
    def user_areas(self) -> Path:
        """The folder that holds a folder for each user."""
        return (self.target_storage_path or self.state / "user_areas").absolute()

    @property
    def records_url(self) -> str:
        """The URL of the records database."""
        return self.database_url or f"sqlite:///{self.state / 'records.db'}"

    @property
    def service_url(self) -> str:
        """The HTTP service as this machine reaches it."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - a comparison, not a bind
        return f"http://{host}:{self.port}"

    @property
    def prefect_url(self) -> str:
        """Prefect's pages; its API lies below at ``/api``."""
        return f"http://127.0.0.1:{self.prefect_port}"


def service_environment(settings: LocalSettings) -> dict[str, str]:
    """Return the variables that tie the service to this stack."""
    return {
        "SOURCE_STORAGE_PATH": str(settings.storage),
        "TARGET_STORAGE_PATH": str(settings.user_areas),
        "STAGER_DATABASE_URL": settings.records_url,
        "STAGER_LOG_FILE": str(settings.logs / "staging_service.log"),
        "STAGER_PUBLIC_URL": settings.service_url,
    }


def prefect_environment(settings: LocalSettings) -> dict[str, str]:
    """Return the variables that keep Prefect within the state folder, without telemetry.

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
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(settings.state / "prefect" / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",  # as the server's is: each run need not ask
        "DO_NOT_TRACK": "1",
        "PREFECT_CLI_COLORS": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        "PREFECT_WORKER_PREFETCH_SECONDS": "0",
    }


def stack_environment(settings: LocalSettings) -> dict[str, str]:
    """Return the environment of every part: the caller's, and on top what makes the stack one.

    A caller's own Prefect (profile, account, address) never leaks in.
    """
    foreign = {"PREFECT_PROFILE", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_API_DATABASE_CONNECTION_URL"}
    inherited = {name: value for name, value in os.environ.items() if name not in foreign}
    python_path = os.pathsep.join(filter(None, [str(CHECKOUT), inherited.get("PYTHONPATH")]))
    ours = {"PYTHONPATH": python_path, "PYTHONUNBUFFERED": "1"}
    return {**inherited, **ours, **service_environment(settings), **prefect_environment(settings)}

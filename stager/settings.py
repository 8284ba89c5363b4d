"""The environment, read once. Nothing else in the project reads it.

The demo's variables keep their names; new variables begin with ``STAGER_``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from stager.permission_bits import FolderMode, ReadOnlyMode
from stager.vocabulary import Pool

# What an operator must know who sets no access_file.
AUTHENTICATION_IS_OFF = (
    "Authentication is off: whoever reaches this service, any account of this machine included, "
    "stages, reads and cancels as any user. That is for one person's machine."
)

# What stands in the demo's values files, and so in the chart's: it leads nowhere.
DEMOS_HUB = "https://jupyterhub"

ReadAs = Literal["user", "service"]
# Without a slash behind it, so that a path can be put there.
Address = Annotated[str, AfterValidator(lambda address: address.rstrip("/"))]


def _unprefixed(variable: str) -> AliasChoices:
    """Return the names of a setting whose variable lacks our prefix: the variable's, and the field's own."""
    return AliasChoices(variable, variable.lower())


class Settings(BaseSettings):
    """All that an operator can set, with its default and its unit."""

    model_config = SettingsConfigDict(env_prefix="STAGER_", frozen=True, populate_by_name=True)

    allowed_methods: tuple[str, ...] = Field(
        ("local_copy", "local_symlink", "symlink_copy", "jupyter_copy", "direct_download"),
        validation_alias=_unprefixed("ALLOWED_METHODS"),
        description="Staging methods that may be asked for, as a JSON list; jupyter_copy where JUPYTERHUB_URL is set.",
    )
    source_storage_path: Path = Field(
        Path("/tmp/storage_a"),  # noqa: S108 - the demo's default
        validation_alias=_unprefixed("SOURCE_STORAGE_PATH"),
        description="Where the storage with the data products is mounted.",
    )
    target_storage_path: Path = Field(
        Path("/tmp/user_areas"),  # noqa: S108 - the demo's default
        validation_alias=_unprefixed("TARGET_STORAGE_PATH"),
        description="Where the users' areas are mounted; each user has a folder of their name in it.",
    )
    logging_level: str = Field(
        "INFO",
        validation_alias=_unprefixed("LOGGING_LEVEL"),
        description="DEBUG, INFO, WARNING or ERROR; libraries say nothing below INFO.",
    )
    source_path_for_users: Path | None = Field(
        None, description="Where users see the source storage, when not at the same path; symbolic links point there."
    )
    database_url: SecretStr = Field(
        SecretStr("sqlite:///stager.db"),
        description="Records database: sqlite:///FILE or mysql+pymysql://USER:PASSWORD@HOST/NAME.",
    )
    prefect_api_url: Address = Field(
        "http://127.0.0.1:4200/api",
        validation_alias=_unprefixed("PREFECT_API_URL"),
        description="Prefect's API.",
    )
    prefect_api_auth_string: SecretStr | None = Field(
        None,
        validation_alias=_unprefixed("PREFECT_API_AUTH_STRING"),
        description="Prefect's password, as USER:PASSWORD; its server has the same in PREFECT_SERVER_API_AUTH_STRING.",
    )
    prefect_api_key: SecretStr | None = Field(
        None,
        validation_alias=_unprefixed("PREFECT_API_KEY"),
        description="Key for a Prefect that takes keys, such as Prefect Cloud; a password takes precedence.",
    )
    prefect_api_ssl_cert_file: Path | None = Field(
        None,
        validation_alias=_unprefixed("PREFECT_API_SSL_CERT_FILE"),
        description="PEM file of the authorities that Prefect's certificate may be from, instead of the usual ones.",
    )
    prefect_api_tls_insecure_skip_verify: bool = Field(
        default=False,
        validation_alias=_unprefixed("PREFECT_API_TLS_INSECURE_SKIP_VERIFY"),
        description="Accept any certificate as Prefect's: whoever intercepts the connection gets its password.",
    )
    prefect_client_custom_headers: dict[str, SecretStr] = Field(
        {},
        validation_alias=_unprefixed("PREFECT_CLIENT_CUSTOM_HEADERS"),
        description="Headers of every call to Prefect, as a JSON object: for a proxy in front of it.",
    )
    prefect_hosts: tuple[str, ...] = Field(
        (),
        description="Host names that Prefect's server answers to, as a JSON list; "
        "beside the loopback's and those in PREFECT_API_URL, PREFECT_UI_URL and PREFECT_SERVER_API_HOST.",
    )
    prefect_ui_url: Address | None = Field(
        None,
        validation_alias=_unprefixed("PREFECT_UI_URL"),
        description="Prefect's pages as a browser reaches them; by default the API's address without /api.",
    )
    jupyterhub_url: str | None = Field(
        None,
        validation_alias=_unprefixed("JUPYTERHUB_URL"),
        description="A JupyterHub as its users open it, without /hub at its end. The service offers jupyter_copy where "
        "one is named. When deployments are registered, this and the next three go into Prefect's block `jupyterhub`.",
    )
    jupyterhub_url_for_runs: str | None = Field(None, description="Where flow runs reach that by another address.")
    jupyterhub_token: SecretStr | None = Field(None, description="Token of the hub's service for stagings.")
    jupyterhub_ca_file: Path | None = Field(
        None, description="PEM file of the authorities that the hub's certificate may be from, not the usual ones."
    )
    object_store_endpoint: str | None = Field(
        None,
        description="An object store that speaks S3, as https://HOST. When deployments are registered, this and the "
        "next six go into Prefect's block `object-store`.",
    )
    object_store_region: str | None = Field(None, description="Its region; by default us-east-1.")
    object_store_bucket: str | None = Field(None, description="The bucket into which data are brought.")
    object_store_prefix: str | None = Field(
        None, description="What the keys of a user's objects begin with: staged/{username}."
    )
    object_store_access_key: str | None = Field(None, description="Access key of the service's account there.")
    object_store_secret_key: SecretStr | None = Field(None, description="The secret key that belongs to it.")
    object_store_ca_file: Path | None = Field(
        None, description="PEM file of the authorities that its certificate may be from, not the usual ones."
    )
    public_url: Address = Field("http://127.0.0.1:8000", description="This service as its users reach it; in links.")
    users_file: Path | None = Field(
        None, description="TOML file of users (name, uid, gid, groups); without it, the system's accounts count."
    )
    access_file: Path | None = Field(
        None, description="TOML file of token issuers and of what groups may do; without it, authentication is off."
    )
    prefect_form: bool | None = Field(
        None,
        description="Whether runs from Prefect's form and schedules are allowed; by default, if authentication is off.",
    )
    least_id: int = Field(
        1000,
        ge=0,
        description="Least uid and gid of a user, where authentication is on: accounts below it are system accounts.",
    )
    file_mode: ReadOnlyMode = Field(0o400, description="Permission bits of a staged file, in octal.")
    directory_mode: ReadOnlyMode = Field(0o500, description="Permission bits of a staged directory, in octal.")
    folder_mode: FolderMode = Field(
        0o700,
        description="Permission bits of a folder that is made for a user, or on the way to a destination, in octal.",
    )
    source_read_as: ReadAs = Field(
        "user",
        description="Whose rights the source storage is read with: `user`, or `service` where users cannot enter it.",
    )
    area_roots: tuple[Path, ...] = Field(
        (),
        description="Folders that storage areas may be in, as a JSON list; by default the two storages' own.",
    )
    target_read_as: ReadAs = Field("user", description="Whose rights the users' areas are read with, likewise.")
    mover_silence: float = Field(
        60.0, gt=0, description="How long a mover of a user's files may be silent, in seconds; then it is killed."
    )
    wait: float = Field(
        60.0,
        ge=0,
        description="How long POST /stage_data waits for the outcome, in seconds; Prefer: wait may ask for as much.",
    )
    max_items_in_body: int = Field(
        10_000, ge=1, description="How many items the body of a request may have; more must come as a manifest."
    )
    site_name: str = Field(
        "ska-staging",
        min_length=1,
        max_length=255,
        description="This site's name for Tape REST clients, which address their metadata to it; unique in the world.",
    )
    tape_method: str = Field("local_copy", description="Staging method for files of Tape REST clients that name none.")
    max_items: int = Field(1_000_000, ge=1, description="How many items a request may have.")
    shard_items: int = Field(
        25_000, ge=1, description="From how many items on a request is cut into shards of so many, each with a run."
    )
    shard_bytes: int = Field(
        1_000_000_000_000,
        ge=1,
        description="How many bytes a shard has at most, by the sizes that the request states, unless it has one item.",
    )
    max_shards: int = Field(4, ge=1, description="How many shards of one request are done side by side.")
    max_body_bytes: int = Field(16 * 1024**2, gt=0, description="Longest body of a call, in bytes.")
    max_manifest_bytes: int = Field(512 * 1024**2, gt=0, description="Longest manifest that is uploaded, in bytes.")
    create_file_bytes: int = Field(
        0, ge=0, description="Longest file that POST /create-file makes in the source area, in bytes; 0 for none."
    )
    max_open_requests: int = Field(
        10_000, gt=0, description="How many requests of one user may be open; more are refused until some have ended."
    )
    max_runs: int = Field(
        20,
        gt=0,
        description="How many flow runs of one user may be under way, pods that wait to begin included; what they ask "
        "for meanwhile waits.",
    )
    max_long_calls: int = Field(
        200, gt=0, description="How many streams, uploads and waiting calls one user may hold at one replica."
    )
    max_pause: float = Field(30.0, gt=0, description="How long a body may pause while it is received, in seconds.")
    cors_origins: tuple[str, ...] = Field(
        (), description="Other web sites whose pages may call the service, as a JSON list of origins; none by default."
    )
    lease: float = Field(
        120.0, gt=0, description="How long a run's lease on a destination lasts unless it is renewed, in seconds."
    )
    reconcile_interval: float = Field(5.0, gt=0, description="How often dropped requests are looked for, in seconds.")
    dispatch: bool = Field(
        default=True,
        description="Whether the HTTP service hands requests to Prefect itself; else `python -m stager.dispatch` does.",
    )
    ready_processes: int = Field(4, ge=1, description="How many processes a warm worker keeps ready for flow runs.")
    drain: float = Field(
        15.0, ge=0, description="How long a warm worker that is told to stop waits for its flow runs, in seconds."
    )
    pods_namespace: str | None = Field(
        None, description="Kubernetes namespace where large requests get pods of their own; without it, none does."
    )
    pods_file: Path | None = Field(
        None, description="YAML file with the site's options for these pods; read when deployments are registered."
    )
    pods_from_items: int = Field(1000, ge=0, description="From how many items on a request gets a pod of its own.")
    pods_from_bytes: int = Field(
        10_000_000_000, ge=0, description="From how many bytes on, by the sizes that it states, a request gets a pod."
    )
    pools_to_choose: tuple[Pool, ...] = Field(
        (Pool.POD,),
        description="Pools that a request may ask for, whatever its size, as a JSON list: `warm`, and where there are "
        "pods `pod`.",
    )
    pods_start: float = Field(
        600.0, gt=0, description="How long a pod may wait for a node, a quota, an image or a volume, in seconds."
    )
    must_own: bool = Field(
        False,  # noqa: FBT003 - pydantic's default
        description="Refuse to stage for a user that the process neither is nor can give files to; set in pods.",
    )
    presigned_stores: tuple[str, ...] = Field(
        (),
        description="Object stores, by the names of their blocks, from which users download what is theirs: they are "
        'sent to an address of the store\'s that holds for five minutes: `["object-store"]`.',
    )
    nginx_files: str | None = Field(
        None,
        description="Where an nginx in front sends files from, as in deployments/nginx/nginx.conf: `/stager-files`.",
    )
    nginx_secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="Secret with which that nginx reports what it has sent; only it and the service have it.",
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Keys that seal users' secrets in the records, separated by blanks: the first seals, all unseal. "
        "Without one, no secret is taken.",
    )
    areas_read_only: bool = Field(
        default=False,
        description="Whether the areas are mounted read-only here on purpose, as in the chart, where others stage.",
    )
    manual: Path | None = Field(
        None, description="Folder of the built manual, which is served at /manual; `make docs` builds it."
    )
    log_file: Path = Field(Path("staging_service.log"), description="The log's file; the console gets the log too.")

    @property
    def hub_url(self) -> str | None:
        """The address of the site's JupyterHub, if it has one."""
        return None if self.jupyterhub_url in {"", DEMOS_HUB} else self.jupyterhub_url

    @property
    def all_area_roots(self) -> tuple[Path, ...]:
        """The folders that storage areas may be in."""
        return self.area_roots or (self.source_storage_path, self.target_storage_path)

    @property
    def shows_prefect_a_key(self) -> bool:
        """Whether calls to Prefect carry the key: a password takes precedence."""
        return not self.prefect_api_auth_string and bool(self.prefect_api_key)

    @property
    def takes_typed_runs(self) -> bool:
        """Whether runs are allowed that a person typed in, or that a schedule made, in Prefect's pages."""
        return self.access_file is None if self.prefect_form is None else self.prefect_form

    @property
    def least_user_id(self) -> int:
        """Least uid and gid of a user; 0 where authentication is off, so that whoever runs the service may stage."""
        return self.least_id if self.access_file else 0


@cache
def get_settings() -> Settings:
    """Return the process's settings, read from the environment at the first call."""
    return Settings()

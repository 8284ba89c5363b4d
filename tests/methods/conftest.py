"""Every method between real folders, to a real notebook server, and to a real object store."""

from __future__ import annotations

import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from stager.identity import Identity
from stager.methods import MOUNTED_METHODS
from stager.methods.bucket_path import BucketPath, bucket_path
from stager.methods.jupyter_copy import JupyterCopy
from stager.methods.notebook_path import NotebookPath, notebook_path
from stager.methods.notebook_servers import NotebookServers
from stager.methods.s3_copy import S3Copy
from stager.methods.store_area import StoreArea
from stager.mover.mover import Mover
from stager.mover.start import start_mover
from stager.paths import locate, make_home
from stager.peers.http import Calls
from stager.peers.jupyter import Hub, HubConnection
from stager.records.database import Database
from stager.runs.become_user import ActingUser
from stager.runs.sender import Sender
from tests.methods.behind_proxy import FOREVER, NO_KERNEL, BehindProxy
from tests.methods.bucket_peer import BucketPeer, hurried_copy
from tests.methods.notebook_runs import Runs
from tests.methods.staging_site import ALICE, CONTENT, IS_ROOT, Peer, Site
from tests.open_folder import open_folder
from tests.peers.conftest import running_hub  # noqa: F401 - the same, for these tests
from tests.peers.faulty_proxy import FaultyProxy
from tests.peers.running_hub import RunningHub
from tests.peers.running_rclone import RunningRclone
from tests.peers.s3.conftest import BUCKET, rclone  # noqa: F401 - likewise
from tests.records_database import give_records


@dataclass(frozen=True)
class Areas:
    """A folder for source areas, one of users, and Alice's mover."""

    top: Path
    mover: Mover

    @property
    def home(self) -> Path:
        return self.top / "users" / "alice"


@pytest.fixture(scope="module")
def areas() -> Iterator[Areas]:
    """What is in the folders comes and goes."""
    with open_folder() as top:
        (top / "users").mkdir()
        ids = (ALICE.uid, ALICE.gid) if IS_ROOT else (-1, -1)
        with make_home(top / "users", "alice", uid=ids[0], gid=ids[1], mode=0o700) as home:
            roots, account = {top / "users/alice": home}, ALICE if IS_ROOT else None
            mover = start_mover("alice", account, roots=roots, linked_from=[top / "storage"], silence=600)
        yield Areas(top, mover)
        mover.close()


@pytest.fixture
def source(areas: Areas) -> Iterator[Path]:
    """A source area that all may read, with a file."""
    source = areas.top / "storage"
    source.mkdir()
    source.chmod(0o755)
    (source / "a.fits").write_bytes(CONTENT)
    (source / "a.fits").chmod(0o644)
    yield source
    shutil.rmtree(source)


@pytest.fixture(scope="session")
def connected(running_hub: RunningHub) -> Iterator[JupyterCopy]:  # noqa: F811
    connection = HubConnection(url=running_hub.url, token=SecretStr(running_hub.tokens["staging"]))
    with JupyterCopy().connected(connection, None) as method:
        yield method


@pytest.fixture
def notebook(running_hub: RunningHub, connected: JupyterCopy, areas: Areas, source: Path) -> Iterator[Site]:  # noqa: F811
    """Alice stages to a folder at her notebook server."""
    name = f"contract-{uuid.uuid4().hex}"
    home = running_hub.home("alice") / name
    home.mkdir(parents=True)
    worker = Sender(connected, areas.mover, {}, living=lambda _: ())

    def place(path: str) -> NotebookPath:
        below = notebook_path(path, hub=running_hub.url, username="alice")
        return replace(below, names=(name, *below.names))

    peer = Peer(home=home, place=place, owner=None)
    yield Site(method=connected.name, promise=connected.promise, source=source, peer=peer, worker=worker)
    worker.end()
    _remove(home)


@pytest.fixture
def store_area(rclone: RunningRclone) -> StoreArea:  # noqa: F811
    """What is Alice's in an object store, and nobody else's."""
    keys = {"access_key": rclone.access_key, "secret_key": SecretStr(rclone.secret_key)}
    prefix = f"contract-{uuid.uuid4().hex}/{{username}}"
    return StoreArea(endpoint=rclone.endpoint, bucket=BUCKET, prefix=prefix, **keys).of_user("alice")


@pytest.fixture
def bucket_site(rclone: RunningRclone, store_area: StoreArea, areas: Areas, source: Path) -> Iterator[Site]:  # noqa: F811
    """Alice stages to a bucket."""

    def place(path: str) -> BucketPath:
        own = store_area
        return bucket_path(path, endpoint=own.endpoint, bucket=own.bucket, prefix=own.prefix, area="object-store")

    with hurried_copy(store_area) as method:
        home = rclone.folder / "store" / BUCKET / store_area.prefix
        peer = BucketPeer(home=home, place=place, owner=None, bucket=method.bucket)
        worker = Sender(method, areas.mover, {}, living=lambda _: ())
        yield Site(method=S3Copy.name, promise=S3Copy.promise, source=source, peer=peer, worker=worker)
        worker.end()


@pytest.fixture
def proxy(running_hub: RunningHub) -> Iterator[FaultyProxy]:  # noqa: F811
    """What stands between us and the hub, and breaks what it is told to."""
    with FaultyProxy.before(running_hub.url).running() as proxy:
        yield proxy


@pytest.fixture
def proxied(notebook: Site, proxy: FaultyProxy, running_hub: RunningHub, areas: Areas) -> Iterator[BehindProxy]:  # noqa: F811
    """A run's own connection, through a proxy, to a notebook server that has no kernels."""
    url = proxy.in_front_of(running_hub.url)
    connection = HubConnection(url=url, token=SecretStr(running_hub.tokens["staging"]))
    proxy.break_calls("kernelspecs", NO_KERNEL, times=FOREVER)
    with Calls() as calls:
        servers = NotebookServers(connection, Hub(connection.url, connection.token, calls))
        worker = Sender(JupyterCopy(servers), areas.mover, {}, living=lambda _: ())
        yield BehindProxy(site=replace(notebook, worker=worker), proxy=proxy, connection=connection, calls=calls)
        servers.close()


@pytest.fixture
def runs(database_url: str, notebook: Site, running_hub: RunningHub) -> Iterator[Runs]:  # noqa: F811
    give_records(database_url)
    database = Database(database_url, patience=20)
    connection = HubConnection(url=running_hub.url, token=SecretStr(running_hub.tokens["staging"]))
    with closing(database), closing(acting_as_alice()) as acting:
        yield Runs(database, notebook, connection, acting)


def acting_as_alice() -> ActingUser:
    ids = {"uid": ALICE.uid, "gid": ALICE.gid, "groups": ALICE.groups}
    return ActingUser(Identity(username="alice", acting_as="alice", owns_files=IS_ROOT, **ids))  # type: ignore[arg-type]


def mounted_site(method: str, areas: Areas, source: Path) -> Iterator[Site]:
    peer = Peer(home=areas.home, place=lambda path: locate(areas.home, path), owner=ALICE if IS_ROOT else None)
    yield Site(method=method, promise=MOUNTED_METHODS[method].promise, source=source, peer=peer, worker=areas.mover)
    areas.mover.end()
    for path in areas.home.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.fixture(params=sorted(MOUNTED_METHODS))
def mounted(request: pytest.FixtureRequest, areas: Areas, source: Path) -> Iterator[Site]:
    """Alice stages to her folder, by each method for that."""
    yield from mounted_site(request.param, areas, source)


PEERS = {JupyterCopy.name: "notebook", S3Copy.name: "bucket_site"}


@pytest.fixture(params=[*sorted(MOUNTED_METHODS), pytest.param(JupyterCopy.name, marks=pytest.mark.hub)])
def site_with_modes(request: pytest.FixtureRequest, areas: Areas, source: Path) -> Iterator[Site]:
    """Alice stages, by each method whose places have modes."""
    yield from _site(request, areas, source)


@pytest.fixture(
    params=[
        *sorted(MOUNTED_METHODS),
        pytest.param(JupyterCopy.name, marks=pytest.mark.hub),
        pytest.param(S3Copy.name, marks=pytest.mark.store),
    ]
)
def site(request: pytest.FixtureRequest, areas: Areas, source: Path) -> Iterator[Site]:
    """Alice stages, by each method."""
    yield from _site(request, areas, source)


def _site(request: pytest.FixtureRequest, areas: Areas, source: Path) -> Iterator[Site]:
    if request.param in PEERS:
        yield request.getfixturevalue(PEERS[request.param])
    else:
        yield from mounted_site(request.param, areas, source)


def _remove(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o700)
    shutil.rmtree(folder)

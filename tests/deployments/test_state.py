"""What `make up` keeps is for no other account, wherever it lay before; and what it sets."""

from __future__ import annotations

import base64
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from deployments.local.cannot_start import CannotStart
from deployments.local.password import prefect_password
from deployments.local.secret_key import secret_key
from deployments.local.settings import LocalSettings, stack_environment
from deployments.local.state import close_state, enterable, take_over
from stager.user_secrets import SecretKeys
from tests.open_folder import open_folder

SOMEBODY = 65534
NEW_KEY = base64.urlsafe_b64encode(b"\2" * 32).decode()
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two accounts")


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalSettings]:
    """An installation where others may enter its folder, as they may a checkout's."""
    for name in (
        "PREFECT_SERVER_API_AUTH_STRING",
        "PREFECT_API_AUTH_STRING",
        "STAGER_DATABASE_URL",
        "STAGER_SECRET_KEY",
    ):
        monkeypatch.delenv(name, raising=False)
    umask = os.umask(0o077)
    with open_folder() as folder:
        yield LocalSettings(state_dir=folder / "run")
    os.umask(umask)


def opened(settings: LocalSettings) -> list[str]:
    """Do what a start does with the folders."""
    with enterable():
        settings.folder.mkdir(exist_ok=True)
    return [*close_state(settings), *take_over(settings)]


def as_somebody(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command as another account of the machine."""
    who = {"user": SOMEBODY, "group": SOMEBODY, "extra_groups": []}
    return subprocess.run(command, capture_output=True, text=True, check=False, **who)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def older(settings: LocalSettings) -> LocalSettings:
    """An installation as the version before left it, its last transactions in the database's log only."""
    with enterable():
        for folder in (settings.folder / "logs", settings.folder / "prefect", settings.storage):
            folder.mkdir(parents=True)
        (settings.folder / "logs/worker.log").write_text("a line")
        (settings.folder / "prefect/prefect.db").write_text("history")
        (settings.folder / "supervisord.conf").write_text("[supervisord]")
        pid = os.fork()
        if pid == 0:  # killed, so that it closes nothing
            connection = sqlite3.connect(settings.folder / "records.db")
            connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE r (id); INSERT INTO r VALUES (42);")
            os._exit(0)
        os.waitpid(pid, 0)
    assert (settings.folder / "records.db-wal").stat().st_size > 0
    return settings


def records(path: Path) -> list[tuple[int]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT id FROM r").fetchall()


def test_the_state_folder_is_closed_and_what_users_need_is_not(settings: LocalSettings) -> None:
    assert opened(settings) == []
    (settings.state / "file").touch()

    assert settings.state.stat().st_mode & 0o7777 == 0o700
    assert (settings.state / "file").stat().st_mode & 0o077 == 0
    assert settings.folder.stat().st_mode & 0o7777 == 0o755
    assert settings.state not in (*settings.storage.parents, *settings.user_areas.parents)


@needs_root
def test_another_account_reads_no_records_and_takes_no_lock_on_them(older: LocalSettings) -> None:
    before = as_somebody("flock", "--shared", older.folder / "records.db", "true")
    opened(older)
    after = [as_somebody("flock", "--shared", path, "true") for path in older.state.iterdir()]

    assert before.returncode == 0
    assert after
    assert all("Permission denied" in tried.stderr for tried in after)
    assert as_somebody("ls", older.state).returncode != 0


def test_an_older_installation_is_moved_whole_into_the_closed_folder_and_told_once(older: LocalSettings) -> None:
    told = opened(older)

    assert told == [f"Records, Prefect's data and logs are now in {older.state}, which no other account can enter."]
    assert records(older.state / "records.db") == [(42,)]
    assert (older.state / "logs/worker.log").read_text() == "a line"
    assert (older.state / "prefect/prefect.db").read_text() == "history"
    assert sorted(path.name for path in older.folder.iterdir()) == ["state", "storage"]
    assert opened(older) == []


@pytest.mark.parametrize("moved", [["records.db-wal"], ["records.db-wal", "records.db"]])
def test_a_move_that_was_interrupted_goes_on(older: LocalSettings, moved: list[str]) -> None:
    close_state(older)
    for name in moved:
        (older.folder / name).rename(older.state / name)
    opened(older)

    assert records(older.state / "records.db") == [(42,)]
    assert (older.state / "prefect/prefect.db").exists()


def test_a_lock_that_somebody_holds_on_the_index_of_the_log_is_not_moved(older: LocalSettings) -> None:
    held = (older.folder / "records.db-shm").stat().st_ino
    opened(older)

    assert records(older.state / "records.db") == [(42,)]
    assert not any(path.stat().st_ino == held for path in older.state.iterdir())


def test_records_that_are_there_twice_are_told_and_none_is_lost(older: LocalSettings) -> None:
    close_state(older)
    (older.state / "records.db").write_text("newer")
    with pytest.raises(CannotStart, match="are both there: move away the one that does not count"):
        take_over(older)

    assert (older.state / "records.db").read_text() == "newer"
    assert records(older.folder / "records.db") == [(42,)]


def test_a_folder_of_somebody_elses_things_is_left_alone(settings: LocalSettings) -> None:
    with enterable():
        (settings.folder / "logs").mkdir(parents=True)
    opened(settings)

    assert (settings.folder / "logs").exists()


def test_a_state_folder_that_others_could_enter_is_closed_and_told(settings: LocalSettings) -> None:
    with enterable():
        settings.state.mkdir(parents=True)

    assert opened(settings) == [
        f"Other accounts could enter {settings.state}: it is closed now. Change Prefect's password."
    ]
    assert settings.state.stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_link_in_place_of_the_state_folder_is_refused_with_what_to_do(settings: LocalSettings, target: str) -> None:
    (settings.folder / "elsewhere").mkdir(parents=True)
    settings.state.symlink_to(settings.folder / target)
    with pytest.raises(CannotStart, match=r"remove it, or choose another folder with STAGER_STATE_DIR=\.\.\."):
        close_state(settings)

    assert list((settings.folder / "elsewhere").iterdir()) == []


@needs_root
def test_a_state_folder_of_somebody_else_is_refused_with_what_to_do(settings: LocalSettings) -> None:
    settings.state.mkdir(parents=True)
    os.chown(settings.state, SOMEBODY, SOMEBODY)
    with pytest.raises(CannotStart, match=r"belongs to nobody: give it to root \(chown -R\), or choose another"):
        close_state(settings)


@needs_root
def test_a_folder_whose_owner_could_exchange_the_state_is_refused(settings: LocalSettings) -> None:
    settings.folder.mkdir(parents=True)
    os.chown(settings.folder, SOMEBODY, SOMEBODY)
    with pytest.raises(CannotStart, match="belongs to nobody, who could exchange what is in it: choose another folder"):
        close_state(settings)


def test_nobody_else_may_write_to_the_installations_folder(settings: LocalSettings) -> None:
    settings.folder.mkdir(parents=True)
    settings.folder.chmod(0o777)
    opened(settings)

    assert settings.folder.stat().st_mode & 0o7777 == 0o755


def test_a_way_to_the_installation_that_others_could_exchange_is_refused(settings: LocalSettings) -> None:
    parent = settings.folder.parent
    parent.chmod(0o777)
    with pytest.raises(
        CannotStart, match=f"may write to {parent}: have that ended \\(chmod go-w\\), or choose another"
    ):
        opened(settings)
    assert parent.stat().st_mode & 0o7777 == 0o777

    parent.chmod(0o1777)
    assert opened(settings) == []


@needs_root
@pytest.mark.parametrize("what", ["folder", "link"])
def test_a_way_through_what_is_somebody_elses_is_refused(settings: LocalSettings, what: str) -> None:
    way = settings.folder.parent / "way"
    if what == "folder":
        way.mkdir()
    else:
        way.symlink_to(settings.folder.parent)
    os.chown(way, SOMEBODY, SOMEBODY, follow_symlinks=False)
    with pytest.raises(CannotStart, match=f"{way} belongs to nobody, who could exchange what is in it: choose another"):
        opened(LocalSettings(state_dir=way / "run"))


@needs_root
def test_a_way_that_a_link_leads_through_is_looked_at_too(settings: LocalSettings) -> None:
    base = settings.folder.parent
    shared = base / "shared"
    (base / "real").mkdir()
    shared.mkdir()
    (base / "first").symlink_to("shared/second")
    (shared / "second").symlink_to("../real")
    assert opened(LocalSettings(state_dir=base / "first/run")) == []
    shared.chmod(0o777)
    with pytest.raises(CannotStart, match=f"Other accounts may write to {shared}: "):
        opened(LocalSettings(state_dir=base / "first/run"))


@needs_root
@pytest.mark.parametrize(("group", "is_private"), [(0, True), (SOMEBODY, False)])
def test_a_group_of_the_owner_alone_is_nobody_else(settings: LocalSettings, group: int, *, is_private: bool) -> None:
    parent = settings.folder.parent
    os.chown(parent, 0, group)
    parent.chmod(0o775)
    if is_private:
        assert opened(settings) == []
    else:
        with pytest.raises(CannotStart, match="Other accounts may write to"):
            opened(settings)


def test_the_password_is_told_at_the_first_start_only_and_stays(settings: LocalSettings) -> None:
    opened(settings)
    first, second = prefect_password(settings), prefect_password(settings)

    assert (first.is_new, second.is_new) == (True, False)
    assert first.auth_string == second.auth_string == settings.password_file.read_text().strip()
    assert len(first.auth_string) > 32
    assert first.auth_string not in repr(first)
    assert settings.password_file.stat().st_mode & 0o7777 == 0o600


def test_the_key_of_users_secrets_is_made_at_the_first_start_and_stays(settings: LocalSettings) -> None:
    opened(settings)
    first, second = secret_key(settings), secret_key(settings)

    assert first == second == settings.secret_key_file.read_text().strip()
    assert settings.secret_key_file.stat().st_mode & 0o7777 == 0o600
    sealed = SecretKeys(SecretStr(first)).take(SecretStr("a")).sealed_for("b")
    settings.secret_key_file.write_text(f"{NEW_KEY}\n{first}\n")
    changed = SecretKeys(SecretStr(secret_key(settings)))
    assert changed.unseal(sealed, request_id="b").get_secret_value() == "a"


def test_an_operators_own_key_counts_and_no_file_is_made(settings: LocalSettings) -> None:
    opened(settings)
    assert secret_key(settings.model_copy(update={"secret_key": SecretStr(NEW_KEY)})) == NEW_KEY
    assert not settings.secret_key_file.exists()


def test_what_is_no_key_keeps_it_from_starting_and_is_not_repeated(settings: LocalSettings) -> None:
    opened(settings)
    settings.secret_key_file.write_text("hunter2")
    with pytest.raises(CannotStart, match=f"{settings.secret_key_file}: key 1 in it") as refused:
        secret_key(settings)
    assert "hunter2" not in str(refused.value)
    with pytest.raises(CannotStart, match="STAGER_SECRET_KEY: key 1 in it"):
        secret_key(settings.model_copy(update={"secret_key": SecretStr("hunter2")}))


def test_each_installation_has_a_password_of_its_own(settings: LocalSettings) -> None:
    other = LocalSettings(state_dir=settings.folder.parent / "other")
    opened(settings)
    opened(other)

    assert prefect_password(settings).auth_string != prefect_password(other).auth_string


@pytest.mark.parametrize("name", ["PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"])
def test_an_operators_own_password_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "me:own")
    password = prefect_password(LocalSettings())

    assert (password.auth_string, password.place, password.is_new) == ("me:own", name, False)


def test_two_passwords_are_one_too_many() -> None:
    with pytest.raises(CannotStart, match="have different passwords"):
        prefect_password(LocalSettings(prefect_server_auth_string="a:b", prefect_auth_string="a:c"))


@pytest.mark.parametrize("wrong", ["secret", ":secret", "secret:", "se cret:b", "sécret:b"])
def test_what_is_no_password_of_prefects_is_refused_without_repeating_it(wrong: str) -> None:
    with pytest.raises(CannotStart, match="PREFECT_API_AUTH_STRING is not USER:PASSWORD") as refused:
        prefect_password(LocalSettings(prefect_auth_string=wrong))

    assert wrong not in str(refused.value)


@pytest.mark.parametrize(("cores", "shards"), [(1, "1"), (2, "1"), (4, "2"), (64, "4")])
def test_a_request_has_one_shard_at_a_time_for_each_two_cores(
    settings: LocalSettings, monkeypatch: pytest.MonkeyPatch, cores: int, shards: str
) -> None:
    monkeypatch.delenv("STAGER_MAX_SHARDS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert stack_environment(settings, "")["STAGER_MAX_SHARDS"] == shards
    monkeypatch.setenv("STAGER_MAX_SHARDS", "7")
    assert stack_environment(settings, "")["STAGER_MAX_SHARDS"] == "7"

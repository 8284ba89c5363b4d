from __future__ import annotations

import getpass
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stager.errors import ConfigurationError, InvalidUserName, SystemAccount, UserDoesNotExist
from stager.identity import resolve

ALICE = "[users.alice]\nuid = 70001\ngid = 70002\ngroups = [70003]\n"


@pytest.fixture
def users_file(tmp_path: Path) -> Path:
    file = tmp_path / "users.toml"
    file.write_text(ALICE)
    return file


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "...",
        ".stager",
        "-rf",
        ".hidden",
        "a/b",
        "/",
        "a\0",
        "a\n",
        "a b",
        "\udcff",
        "é",
        "a" * 66,
        "a:b",
        "$",
    ],
)
def test_a_name_that_no_account_can_have_is_refused(name: str, users_file: Path) -> None:
    with pytest.raises(InvalidUserName):
        resolve(name)
    with pytest.raises(InvalidUserName):
        resolve(name, users_file=users_file)


@given(st.text(max_size=70))
def test_whatever_is_not_refused_is_one_plain_path_component(name: str) -> None:
    try:
        resolve(name)
    except InvalidUserName:
        return
    except UserDoesNotExist:
        pass
    assert name not in {"", ".", ".."}
    assert not set(name) & set("/\0\n\r \t")
    assert name[0] not in "-."


def test_a_user_whom_nobody_knows_does_not_exist(users_file: Path) -> None:
    for file in (None, users_file):
        with pytest.raises(UserDoesNotExist, match=r"^User nobody-of-that-name does not exist$"):
            resolve("nobody-of-that-name", users_file=file)


def test_the_systems_accounts_count() -> None:
    name = pwd.getpwuid(os.getuid()).pw_name
    identity = resolve(name)
    entry = pwd.getpwnam(name)
    assert (identity.uid, identity.gid) == (entry.pw_uid, entry.pw_gid)
    assert set(identity.groups) == set(os.getgrouplist(name, entry.pw_gid))


def test_a_users_file_replaces_the_systems_accounts(users_file: Path) -> None:
    identity = resolve("alice", users_file=users_file)
    assert (identity.uid, identity.gid, identity.groups) == (70001, 70002, (70002, 70003))
    with pytest.raises(UserDoesNotExist):
        resolve(getpass.getuser(), users_file=users_file)


def test_a_users_file_is_read_again_when_it_changed(users_file: Path) -> None:
    resolve("alice", users_file=users_file)
    users_file.write_text(ALICE.replace("70001", "80001"))
    os.utime(users_file, ns=(1, 1))
    assert resolve("alice", users_file=users_file).uid == 80001


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[users.alice\n", "line 1"),
        ("[users.bob]\nuid = 1\ngid = 1\n[users.alice]\nuid = 'x'\ngid = 1\n", "line 4: users.alice.uid"),
        ("[users.alice]\nuid = 1\n", "line 1: users.alice.gid: Field required"),
        ("[users.alice]\nuid = -1\ngid = 1\n", "greater than or equal to 0"),
        ("[users.alice]\nuid = 4294967295\ngid = 1\n", "less than 4294967295"),
        ("[user.alice]\nuid = 1\ngid = 1\n", "line 1: user"),
        ("[users.alice]\nuid = 1\ngid = 1\nshell = '/bin/sh'\n", "users.alice.shell"),
        ("\xff", "decode"),
    ],
)
def test_a_broken_users_file_is_named_with_its_line(users_file: Path, text: str, words: str) -> None:
    users_file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError) as caught:
        resolve("alice", users_file=users_file)
    assert str(users_file) in caught.value.message
    assert words in caught.value.message


def test_a_users_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        resolve("alice", users_file=tmp_path / "users.toml")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
@pytest.mark.parametrize(
    ("uid", "said"),
    [
        (0, "True root (uid 0, gid 0)"),
        (65533, "False running user without a name (uid 65533): not root, so files stay with it"),
    ],
)
def test_the_account_is_told_in_words(uid: int, said: str) -> None:
    program = (
        "import os; from stager.identity import resolve\n"
        f"os.seteuid({uid}); identity = resolve('root'); print(identity.owns_files, identity.acting_as)"
    )
    outcome = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert outcome.stdout.strip() == said


@pytest.mark.parametrize(("ids", "what"), [("uid = 999\ngid = 1000", "uid"), ("uid = 1000\ngid = 999", "gid")])
def test_an_account_below_the_least_id_is_no_users(users_file: Path, ids: str, what: str) -> None:
    users_file.write_text(f"[users.alice]\n{ids}\n")

    with pytest.raises(SystemAccount, match=rf"^User alice has .*: its {what} is 999, .* 1000 or more \(STAGER_LEAST"):
        resolve("alice", users_file=users_file, least_id=1000)
    assert resolve("alice", users_file=users_file).username == "alice"
    assert resolve("alice", users_file=users_file, least_id=999).username == "alice"


def test_no_user_has_a_group_of_the_systems(users_file: Path) -> None:
    users_file.write_text("[users.alice]\nuid = 70001\ngid = 70002\ngroups = [0, 6, 27, 999, 1000, 70003]\n")

    assert resolve("alice", users_file=users_file, least_id=1000).groups == (1000, 70002, 70003)

"""Users' secrets, sealed by the service's keys."""

from __future__ import annotations

import base64
import itertools

import pytest
from pydantic import SecretStr

from stager.errors import ConfigurationError, InvalidSecret, SecretKeyMissing, SecretUnreadable
from stager.user_secrets import MAX_CHARACTERS, SecretKeys

SECRET = "open-sesame-6f1c"
OLD, NEW = (base64.urlsafe_b64encode(byte * 32).decode() for byte in (b"\1", b"\2"))


def keys(*given: str) -> SecretKeys:
    return SecretKeys(SecretStr("\n".join(given) + "\n"))


def opened(sealed: bytes, by: SecretKeys, request_id: str = "one") -> str:
    return by.unseal(sealed, request_id=request_id).get_secret_value()


def test_a_key_is_changed_in_steps_and_each_step_reads_what_the_one_before_sealed() -> None:
    steps = [keys(OLD), keys(OLD, NEW), keys(NEW, OLD), keys(NEW)]
    sealed = [step.take(SecretStr(SECRET)).sealed_for("one") for step in steps]
    for before, after in itertools.pairwise(range(len(steps))):
        assert opened(sealed[before], steps[after]) == opened(sealed[after], steps[before]) == SECRET


def test_what_another_key_sealed_is_not_read_and_says_who_can_mend_it() -> None:
    sealed = keys(OLD).take(SecretStr(SECRET)).sealed_for("one")
    with pytest.raises(SecretUnreadable, match="STAGER_SECRET_KEY") as refused:
        opened(sealed, keys(NEW))
    assert (refused.value.mended_by, refused.value.retryable) == ("operator", False)


@pytest.mark.parametrize("end", [b"", b"==", b"\xff"])
def test_what_somebody_changed_is_not_read(end: bytes) -> None:
    sealed = keys(OLD).take(SecretStr(SECRET)).sealed_for("one")
    with pytest.raises(SecretUnreadable):
        opened(sealed[:-2] + end, keys(OLD))


def test_a_secret_that_is_moved_to_another_request_opens_nothing() -> None:
    sealed = keys(OLD).take(SecretStr(SECRET)).sealed_for("alices")
    with pytest.raises(SecretUnreadable):
        opened(sealed, keys(OLD), request_id="bobs")


def test_the_same_secret_never_looks_the_same() -> None:
    secret = keys(OLD).take(SecretStr(SECRET))
    assert len({secret.sealed_for("one") for _ in range(3)}) == 3


@pytest.mark.parametrize("none", [None, SecretStr(""), SecretStr(" \n")])
def test_without_a_key_none_is_taken_and_none_is_read(none: SecretStr | None) -> None:
    sealed = keys(OLD).take(SecretStr(SECRET)).sealed_for("one")
    without = SecretKeys(none)
    for attempt in (lambda: without.take(SecretStr(SECRET)), lambda: without.unseal(sealed, request_id="one")):
        with pytest.raises(SecretKeyMissing, match="STAGER_SECRET_KEY") as refused:
            attempt()
        assert refused.value.mended_by == "operator"


@pytest.mark.parametrize(
    ("secret", "fault"),
    [
        ("", "is empty"),
        ("x" * (MAX_CHARACTERS + 1), "more than 4096"),
        *((f"{SECRET}{odd}", "has blanks") for odd in ("\n", "\r\nX-More: 1", " ", "\0", "\x7f", "é", "\udcff")),
    ],
)
def test_what_can_be_no_token_is_refused_and_not_repeated(secret: str, fault: str) -> None:
    with pytest.raises(InvalidSecret, match=fault) as refused:
        keys(OLD).take(SecretStr(secret))
    assert SECRET not in str(refused.value)
    assert SECRET not in repr(refused.value)


def test_the_longest_secret_is_kept_whole() -> None:
    longest = "~" * MAX_CHARACTERS
    assert opened(keys(OLD).take(SecretStr(longest)).sealed_for("one"), keys(OLD)) == longest


@pytest.mark.parametrize("wrong", ["hunter2", f"{OLD},{NEW}", OLD[:-5], "schlüssel"])
def test_what_is_no_key_is_told_by_its_number_and_not_repeated(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="STAGER_SECRET_KEY: key 2 in it") as refused:
        keys(NEW, wrong)
    assert wrong not in str(refused.value)


def test_nothing_of_it_is_shown_by_repr() -> None:
    secret = keys(OLD).take(SecretStr(SECRET))
    for shown in (repr(secret), str(secret), repr(secret.keys), repr(vars(secret.keys))):
        assert SECRET not in shown
        assert OLD not in shown

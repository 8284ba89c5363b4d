"""Which bearer tokens count, asked of a real OpenID provider."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import urlsafe_b64encode

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.service.access.conftest import Provider
    from tests.service.conftest import ServedDoor

SCIENCE: dict[str, Any] = {"preferred_username": "alice", "groups": ["ska/science"]}
UUID = "0e3ad1ca-7d9c-4f4a-a6f5-9d0f0a1f9a55"
# Routes that say something before anybody has a token.
OPEN = {
    "/.well-known/wlcg-tape-rest-api",
    "/links",  # its secret is in the address
    *("/config", "/config/allowed-methods", "/limits", "/problems/{name}"),
    *("/health", "/health/live", "/health/ready", "/metrics"),
}


def ask(door: ServedDoor, token: str) -> httpx.Response:
    return door.client.get("/requests", headers={b"Authorization": f"Bearer {token}".encode("latin-1")})


def claims(site: Provider, **more: object) -> dict[str, object]:
    fields = {"iss": site.url, "aud": "data-management-api", "sub": "a-uuid", "exp": int(time.time()) + 600}
    return {**fields, **SCIENCE, **more}


def test_every_route_but_those_that_introduce_the_site_needs_a_token(guarded_door: ServedDoor) -> None:
    paths = guarded_door.client.get("/openapi.json").json()["paths"]
    calls = [(path, verb) for path, verbs in paths.items() if path not in OPEN for verb in verbs]
    url = {path: path.replace("{", "").replace("}", "") for path, _ in calls}

    answers = {(verb, path): guarded_door.client.request(verb, url[path], json={}) for path, verb in calls}

    assert {call: answer.status_code for call, answer in answers.items()} == dict.fromkeys(answers, 401)
    assert {answer.headers["www-authenticate"] for answer in answers.values()} == {"Bearer"}


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_a_token_of_a_trusted_issuer_counts(guarded_door: ServedDoor, site: Provider, alg: str) -> None:
    assert ask(guarded_door, site.token(alg=alg, **SCIENCE)).status_code == 200


def test_a_name_and_groups_that_only_userinfo_has_are_asked_for(guarded_door: ServedDoor, iam: Provider) -> None:
    userinfo = {"preferred_username": "alice-of-iam", "groups": ["ska/science"]}
    headers = {"Authorization": f"Bearer {iam.bare_token('uuid-of-alice', userinfo)}"}

    assert guarded_door.stage(headers=headers).status_code == 202
    assert guarded_door.stage(username="bob", headers=headers).status_code == 403


def test_a_token_that_its_issuer_does_not_know_any_more_is_refused(guarded_door: ServedDoor, iam: Provider) -> None:
    unknown = iam.token("nobody-asked-userinfo", header={"typ": "JWT"})

    assert ask(guarded_door, unknown).status_code == 401


def test_a_uuid_is_mapped_to_a_user_and_wlcgs_groups_lose_their_slash(guarded_door: ServedDoor, wlcg: Provider) -> None:
    claims: dict[str, Any] = {"wlcg.ver": "1.0", "wlcg.groups": ["/ska/science"]}
    token = wlcg.token(UUID, header={"typ": "JWT"}, **claims)

    assert guarded_door.stage(headers={"Authorization": f"Bearer {token}"}).status_code == 202


def test_whom_the_operators_file_does_not_name_is_told_so(guarded_door: ServedDoor, wlcg: Provider) -> None:
    answer = ask(guarded_door, wlcg.token("another-uuid", header={"typ": "JWT"}, **{"wlcg.ver": "1.0"}))

    assert answer.status_code == 403
    assert answer.json()["detail"] == "Not allowed: the access file has no user for another-uuid"


NEVER_TAKEN: dict[str, Callable[[Provider], str]] = {
    "for another service": lambda site: site.token(**SCIENCE, aud="another-service"),
    "expired": lambda site: site.token(**SCIENCE, exp=int(time.time()) - 5),
    "not yet": lambda site: site.token(**SCIENCE, nbf=int(time.time()) + 600),
    "without an end": lambda site: site.token(**SCIENCE, exp=None),
    "an ID token's type": lambda site: site.token(**SCIENCE, header={"typ": "JWT"}),
    "without a user": lambda site: site.token(groups=["ska/science"]),
    "by an algorithm that is not allowed": lambda site: jwt.encode(
        {"alg": "PS256", "kid": site.published_key()["kid"]}, claims(site), RSAKey.generate_key(), algorithms=["PS256"]
    ),
    "by a stranger's key under our key's name": lambda site: jwt.encode(
        {"alg": "RS256", "kid": site.published_key()["kid"], "typ": "at+jwt"}, claims(site), RSAKey.generate_key()
    ),
    "by a key that the token brings along": lambda site: with_own_key(site),  # noqa: PLW0108 - defined below
    "by the public key as a shared secret": lambda site: with_public_key_as_secret(site),  # noqa: PLW0108 - likewise
    "alg none": lambda site: unsigned(site, "none"),
    "alg nOnE": lambda site: unsigned(site, "nOnE"),
    "no JWT": lambda _: "abc",
    "empty parts": lambda _: "..",
    "no UTF-8": lambda _: "\xff.\xfe.\xfd",
    "deep JSON": lambda _: f"{_part('[' * 9_000)}.{_part('[' * 9_000)}.x",
}


def unsigned(site: Provider, alg: str) -> str:
    return f"{_part(json.dumps({'alg': alg, 'typ': 'at+jwt'}))}.{_part(json.dumps(claims(site)))}."


def _part(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode()


def with_own_key(site: Provider) -> str:
    key = ECKey.generate_key()
    header = {"alg": "ES256", "typ": "at+jwt", "jwk": key.as_dict(private=False)}
    return jwt.encode(header, claims(site), key)


def with_public_key_as_secret(site: Provider) -> str:
    public = site.published_key()
    header = {"alg": "HS256", "kid": public["kid"], "typ": "at+jwt"}
    signed = f"{_part(json.dumps(header))}.{_part(json.dumps(claims(site)))}"
    pem = RSAKey.import_key(public).as_pem(private=False)
    return f"{signed}.{urlsafe_b64encode(hmac.digest(pem, signed.encode(), 'sha256')).decode()}"


@pytest.mark.parametrize("what", NEVER_TAKEN)
def test_a_token_that_is_not_as_it_must_be_is_refused(guarded_door: ServedDoor, site: Provider, what: str) -> None:
    answer = ask(guarded_door, NEVER_TAKEN[what](site))

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_a_strangers_token_is_refused(guarded_door: ServedDoor, stranger: Provider) -> None:
    assert "its issuer is not trusted here" in ask(guarded_door, stranger.token(**SCIENCE)).json()["detail"]


def test_a_stranger_that_says_it_is_our_issuer_is_refused(
    guarded_door: ServedDoor, site: Provider, stranger: Provider
) -> None:
    assert ask(guarded_door, stranger.token(**SCIENCE, iss=site.url)).status_code == 401


def test_an_issuer_that_is_away_is_told_as_such(guarded_door: ServedDoor, site: Provider) -> None:
    away = guarded_door.folder.joinpath("access.toml").read_text().split('url = "')[-1].split('"')[0]
    answer = ask(guarded_door, site.token(**SCIENCE, iss=away))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_keys_that_the_issuer_changed_are_fetched_and_the_old_ones_count_no_more(
    guarded_door: ServedDoor, iam: Provider
) -> None:
    userinfo = {"preferred_username": "alice-of-iam", "groups": ["ska/science"]}
    old = iam.bare_token("alice", userinfo)
    assert ask(guarded_door, old).status_code == 200

    iam.stop()
    iam.start()
    new = iam.bare_token("alice", userinfo)
    deadline = time.monotonic() + PATIENCE
    while (answer := ask(guarded_door, new)).status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.2)

    assert answer.status_code == 200
    assert ask(guarded_door, old).status_code == 401

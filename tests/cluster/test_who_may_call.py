"""The chart with authentication on, against an issuer in the cluster."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

import pytest
import yaml
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.cluster.conftest import Release

URL = "http://issuer:8000"
AUDIENCE = "staging"
ACCESS = {
    "required": True,
    "issuers": [{"url": URL, "audiences": [AUDIENCE]}],
    "everyone": {"methods": ["*"], "areas": ["source", "user"]},
}


@dataclass(frozen=True)
class Issuer:
    """A web server of the cluster with a public key, and the key that only this test has."""

    key: ECKey

    def token(self, user: str) -> str:
        claims = {"iss": URL, "aud": AUDIENCE, "sub": user, "exp": int(time.time()) + 3600}
        return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": self.key.thumbprint()}, claims, self.key)

    def manifests(self, image: str) -> list[dict[str, object]]:
        keys = {"keys": [self.key.as_dict(private=False, kid=self.key.thumbprint())]}
        metadata = {"name": "issuer", "labels": {"app": "issuer"}}
        files = {"metadata": {"issuer": URL, "jwks_uri": f"{URL}/keys"}, "keys": keys}
        items = [{"key": "metadata", "path": ".well-known/openid-configuration"}, {"key": "keys", "path": "keys"}]
        container = {
            "name": "issuer",
            "image": image,
            "args": ["python", "-m", "http.server", "--directory", "/site", "8000"],
            "readinessProbe": {"httpGet": {"path": "/keys", "port": 8000}},
            "volumeMounts": [{"name": "site", "mountPath": "/site"}],
        }
        volume = {"name": "site", "configMap": {"name": "issuer", "items": items}}
        data = {name: json.dumps(content) for name, content in files.items()}
        return [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data},
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {"selector": {"app": "issuer"}, "ports": [{"port": 8000}]},
            },
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata,
                "spec": {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 0},
            },
        ]


@pytest.fixture(scope="module")
def issuer(release: Release, image: str) -> Iterator[Issuer]:
    issuer = Issuer(ECKey.generate_key("P-256"))
    manifests = issuer.manifests(image)
    release.cluster.apply(*manifests)
    release.cluster.kubectl("wait", "--for=condition=Ready", "pod/issuer", "--timeout=180s")
    yield issuer
    release.cluster.kubectl("delete", "pod,service,configmap", "--selector", "app=issuer")


@pytest.fixture(scope="module")
def locked(release: Release, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The release with authentication on; whoever comes later installs it as they want it."""
    del issuer
    file = tmp_path_factory.mktemp("locked") / "values.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(release.values.read_text()) | {"auth": ACCESS}))
    locked = replace(release, values=file)
    locked.install()
    return locked


def said_by_helm_test(release: Release) -> str:
    """Return what `helm test` printed, which succeeded."""
    release.cluster.helm("test", release.name, "--timeout", "10m")
    return release.cluster.kubectl("logs", f"{release.fullname}-test")


def test_helm_test_without_a_token_is_refused_and_stages_from_inside(locked: Release) -> None:
    said = said_by_helm_test(locked)
    assert "ok: a call without a token is refused (401)" in said
    assert "ok: the record says completed" in said
    assert "ok: the bytes are those of the source" in said


def test_helm_test_stages_by_the_api_with_a_token(locked: Release, issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(issuer.token("staging-test"))
    locked.cluster.kubectl("create", "secret", "generic", "token", f"--from-file={tmp_path}/token")
    locked.install("--set", "tests.tokenSecret=token")
    said = said_by_helm_test(locked)
    assert "ok: a call without a token is refused (401)" in said
    assert "ok: the service answers 200" in said
    assert "ok: the bytes are those of the source" in said


def test_a_user_with_a_token_stages_for_nobody_else(locked: Release, issuer: Issuer) -> None:
    locked.hand.write("storage_a/hers.txt", "hers")
    body = {"data": {"local_path_on_storage": "hers.txt", "relative_path": "hers.txt"}}
    ask, token = "/stage_data?method=local_copy&username=", issuer.token("alice")
    assert locked.call("POST", f"{ask}alice", body, token=token)[0] == HTTPStatus.OK
    assert locked.call("POST", f"{ask}staging-test", body, token=token)[0] == HTTPStatus.FORBIDDEN
    assert locked.call("POST", f"{ask}alice", body)[0] == HTTPStatus.UNAUTHORIZED


def test_the_notes_begin_with_who_may_call(release: Release, locked: Release) -> None:
    del release
    assert locked.cluster.helm("get", "notes", locked.name).split("NOTES:\n")[-1].startswith("Authentication is on")

"""Storages as the operator says: each kind ends in the volume that Kubernetes has for it today."""

from __future__ import annotations

from collections.abc import Callable

from tests.chart.conftest import VALUES, Manifest, Rendered

Render = Callable[..., Rendered]
FILES = {file.stem: file for file in VALUES}
FULLNAME = "staging-skao-staging-service"


def volumes(rendered: Rendered) -> dict[str, Manifest]:
    pod = rendered.pods()["warm-worker"]
    return {volume.pop("name"): volume for volume in pod["volumes"]}


def test_local_is_a_folder_of_the_node_that_must_exist(render: Render) -> None:
    found = volumes(render(FILES["demo"]))
    assert found["source"] == {"hostPath": {"path": "/Volumes/FastStorage/storage_a", "type": "Directory"}}
    assert found["user-area"] == {"hostPath": {"path": "/Volumes/FastStorage/user_areas", "type": "Directory"}}


def test_nfs_is_the_built_in_volume(render: Render) -> None:
    found = volumes(render(FILES["nfs"]))
    assert found["source"] == {"nfs": {"server": "nfs.example.org", "path": "/products"}}


def test_the_demos_ceph_becomes_a_volume_of_the_csi_driver(render: Render) -> None:
    rendered = render(FILES["ceph"])
    claim = volumes(rendered)["source"]["persistentVolumeClaim"]["claimName"]
    assert rendered.of("PersistentVolumeClaim", "-source")["metadata"]["name"] == claim
    volume = rendered.of("PersistentVolume", "-source")["spec"]
    assert volume["claimRef"] == {"namespace": "site", "name": claim}
    assert volume["accessModes"] == ["ReadOnlyMany"]
    assert volume["csi"]["volumeAttributes"]["clusterID"] == "ceph.example.org"
    secret = rendered.of("Secret", "-source-cephfs")
    assert volume["csi"]["nodeStageSecretRef"]["name"] == secret["metadata"]["name"]
    assert secret["stringData"] == {"userID": "reader", "userKey": "AQBkey=="}


def test_a_given_claim_is_taken_as_it_is(render: Render) -> None:
    rendered = render(FILES["claims"])
    found = volumes(rendered)
    assert found["source"] == {"persistentVolumeClaim": {"claimName": "products"}}
    assert found["user-area"] == {"persistentVolumeClaim": {"claimName": "users"}}
    assert not [one for one in rendered if one["kind"].startswith("PersistentVolume")]


def test_a_claim_that_was_not_named_is_asked_for(template: Callable[..., object]) -> None:
    done = template(**{"storage.source.type": "pvc"})
    assert "storage.source.pvc.claimName: which claim?" in done.stderr  # type: ignore[attr-defined]


def test_whose_rights_an_area_is_read_with_is_told_to_every_part(render: Render) -> None:
    told = render().of("ConfigMap", "-environment")["data"]
    assert (told["STAGER_SOURCE_READ_AS"], told["STAGER_TARGET_READ_AS"]) == ("user", "user")
    told = render(**{"storage.source.readAs": "service"}).of("ConfigMap", "-environment")["data"]
    assert (told["STAGER_SOURCE_READ_AS"], told["STAGER_TARGET_READ_AS"]) == ("service", "user")

"""Backup and restore, by the commands that docs/how-to/kubernetes-operations.md gives."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.conftest import Release, eventually
from tests.cluster.pages import carry_out, commands, lay_out


def test_both_databases_come_back_from_their_backup(release: Release, tmp_path: Path) -> None:
    release.hand.write("storage_a/kept.txt", "kept")
    before = set(release.records())
    assert release.stage("kept.txt", "kept.txt")[0] == 200
    lay_out(release, tmp_path)
    backup, restore_records, restore_prefect, *_postgresql = commands(
        "how-to/kubernetes-operations.md", "Backup and restore"
    )
    records = release.records()
    (kept,) = records.keys() - before
    run = f"/flow_runs/{release.record(kept)['flow_run_id']}"

    carry_out(release, backup, tmp_path)
    lose = (
        'mysql --user=root --password="$MYSQL_ROOT_PASSWORD" --execute="DROP DATABASE staging; CREATE DATABASE staging"'
    )
    release.cluster.kubectl("exec", f"{release.fullname}-mysql-0", "--", "sh", "-c", lose)
    with release.prefect() as prefect:
        assert prefect.delete(run).is_success
    carry_out(release, restore_records, tmp_path)
    carry_out(release, restore_prefect, tmp_path)

    for part in ("deployment", "-api"), ("statefulset", "-prefect"):
        release.cluster.kubectl("rollout", "status", f"{part[0]}/{release.fullname}{part[1]}", "--timeout=300s")
    assert release.records() == records
    with release.prefect() as prefect:
        assert prefect.get(run).json()["state"]["type"] == "COMPLETED"
    release.stage("kept.txt", "again.txt")
    (new,) = release.records().keys() - records.keys()
    assert eventually(lambda: release.ending(new), "the end of a request to the restored Prefect") == "completed"

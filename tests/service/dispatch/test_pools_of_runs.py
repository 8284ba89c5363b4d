"""The dispatcher gives each run to the pool that the rule says; Prefect and the databases are real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from stager.dispatch.dispatcher import Dispatcher
from stager.dispatch.prefect import PrefectClient
from stager.models import StagingItem, StagingRequest
from stager.records.database import Database, open_records
from stager.records.requests import create_request, get_request, start_requests
from stager.settings import Settings
from stager.vocabulary import Pool
from tests import prefect_password
from tests.records_database import give_records

if TYPE_CHECKING:
    from tests.service.conftest import PrefectServer

pytestmark = pytest.mark.stack

ACCOUNT = {"run_as_user": 70001, "run_as_group": 70002, "supplemental_groups": [70002]}
ITEMS = (StagingItem(source="a", destination="b"),)


@pytest.fixture
def records(new_database: Callable[[], str]) -> str:
    url = new_database()
    give_records(url)
    return url


@pytest.fixture
def settings(prefect: PrefectServer, tmp_path: Path) -> Settings:
    """The settings of a site with pods, whose deployments Prefect has."""
    flow = prefect.client.post("/flows/", json={"name": "local-copy"}).raise_for_status().json()["id"]
    deployment = {"name": "local-copy-from-api-pod", "flow_id": flow, "enforce_parameter_schema": False}
    prefect.client.post("/deployments/", json=deployment).raise_for_status()
    users = tmp_path / "users.toml"
    users.write_text("[users.alice]\nuid = 70001\ngid = 70002\n")
    return Settings(
        prefect_api_url=prefect.api,
        prefect_api_auth_string=SecretStr(prefect_password.AUTH_STRING),
        pods_namespace="staging",
        users_file=users,
    )


async def look(url: str, settings: Settings) -> None:
    async with open_records(url) as records, PrefectClient(settings) as prefect:
        recorded = asyncio.Event()
        await Dispatcher(settings, records=records, prefect=prefect, recorded=recorded, look_every=1).look()


def test_what_asks_for_a_pod_is_handed_to_the_deployment_in_pods_and_nothing_else_with_it(
    prefect: PrefectServer, records: str, settings: Settings
) -> None:
    database = Database(records)
    pools = (None, Pool.POD, None, Pool.POD)
    wanted = [StagingRequest(method="local_copy", username="alice", items=ITEMS, pool=pool) for pool in pools]
    ids = [create_request(database, one).id for one in wanted]
    found: list[tuple[dict[str, Any] | None, str]] = []
    for asked in (ids[::2], ids[1::2]):
        asyncio.run(look(records, settings))
        run = str(get_request(database, asked[0]).flow_run_id)
        told = prefect.client.get(f"/flow_runs/{run}").raise_for_status().json()
        name = prefect.client.get(f"/deployments/{told['deployment_id']}").raise_for_status().json()["name"]
        assert told["parameters"] == {"request_ids": asked}
        found.append((told["job_variables"], name))
        start_requests(database, asked, flow_run_id=run, acting_as="alice")
    database.close()
    assert found == [(None, "local-copy-from-api"), (ACCOUNT, "local-copy-from-api-pod")]

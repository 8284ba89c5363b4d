"""What Prefect's pages show to whoever stages by them, and what they and scripts may say."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import ValidationError, validate
from pydantic import ValidationError as ModelError

from blocks.staging_form import ItemForm, JupyterCopyForm, LocalCopyForm, StagingForm
from stager.methods.all_methods import METHODS
from stager.models import StagingItem, StagingRequest

ITEM = {"source": "a.fits", "destination": "b.fits"}
LEAST: dict[str, Any] = {"username": "alice", "items": [ITEM]}
TERMS = {
    "on_conflict": "replace",
    "deadline": "2030-01-01T00:00:00+02:00",
    "lifetime": 86_400,
    "priority": -3,
    "note": "for the survey",
}


def schema(method: str = "local_copy", function: str | None = None) -> dict[str, Any]:
    """Return what registration tells Prefect of a flow's parameters."""
    flow = getattr(importlib.import_module(f"flows.{method}"), function or method)
    return parameter_schema(flow).model_dump_for_openapi()


def fields(method: str, model: str) -> dict[str, Any]:
    return dict(schema(method)["definitions"][model]["properties"])


@pytest.mark.parametrize("method", sorted(METHODS))
def test_whoever_opens_the_form_sees_the_fields_at_once_and_none_for_machines(method: str) -> None:
    shown = schema(method)
    [request] = shown["properties"].values()
    assert shown["required"] == ["request"]
    form = shown["definitions"][request["$ref"].rpartition("/")[2]]
    items = shown["definitions"]["ItemForm"]
    more = {"server"} if method == "jupyter_copy" else set()
    assert form["properties"].keys() == StagingForm.model_fields.keys() - {"method"} | more
    for field in [*form["properties"].values(), *items["properties"].values()]:
        assert not {"anyOf", "oneOf"} & field.keys()


def test_the_form_has_all_terms_of_a_request_each_with_words_for_it() -> None:
    # Which pool a typed run is in is said by the deployment that it is typed in at; one method alone can verify more.
    assert StagingForm.model_fields.keys() == StagingRequest.model_fields.keys() - {"pool", "verify"}
    assert ItemForm.model_fields.keys() == StagingItem.model_fields.keys()
    said = {**StagingForm.model_fields, **ItemForm.model_fields}
    del said["method"]
    assert [name for name, field in said.items() if not (field.title and field.description)] == []


@pytest.mark.parametrize("model", ["LocalCopyForm", "ItemForm"])
def test_the_fields_keep_their_order_in_a_database_that_has_none(model: str) -> None:
    positions = [field["position"] for field in fields("local_copy", model).values()]
    assert positions == sorted(set(positions))


@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_services_own_runs_name_requests_and_nothing_else(method: str) -> None:
    shown = schema(method, f"{method}_from_api")
    assert (list(shown["properties"]), shown["required"]) == (["request_ids"], ["request_ids"])


@pytest.mark.parametrize(
    "said",
    [
        LEAST,
        LEAST | TERMS,
        LEAST | {"method": "local_copy"},
        LEAST | {"deadline": None, "lifetime": None, "note": None},
        LEAST | {"items": [ITEM | {"checksum": None, "size_bytes": None}]},
        LEAST | {"items": [ITEM | {"checksum": "adler32:0a1b2c3d", "size_bytes": 2880}]},
        LEAST | {"items": [ITEM | {"checksum": f"sha256:{16 * '0a1b'}"}]},
        LEAST | {"items": [ITEM | {"checksum": f"MD5:{8 * '0A1B'}"}]},
        LEAST | {"source_area": {"$ref": "8d4f21a0-7d0f-4f0e-9d50-6b4e5a7f0f7e"}},
    ],
)
def test_prefect_takes_what_a_person_or_a_script_says(said: dict[str, Any]) -> None:
    validate({"request": said}, schema(), raise_on_error=True)


@pytest.mark.parametrize(
    "said",
    [
        {},
        LEAST | {"items": [{}]},
        LEAST | {"method": "local_symlink"},
        LEAST | {"priority": 11},
        LEAST | {"colour": "red"},
        LEAST | {"items": [ITEM | {"checksum": f"md5:{16 * '0a1b'}"}]},
    ],
)
def test_prefect_refuses_what_is_missing_or_wrong(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validate({"request": said}, schema(), raise_on_error=True)


@pytest.mark.parametrize(("server", "destination"), [("", "user"), ("lab 2", "user/lab 2")])
def test_a_notebook_server_that_is_named_is_part_of_the_destination(server: str, destination: str) -> None:
    typed = JupyterCopyForm.model_validate(LEAST | {"server": server})
    assert typed.request().destination_area == destination


@pytest.mark.parametrize("server", ["..", "a/b", ".hidden", "a\n"])
def test_a_notebook_server_is_not_called_as_something_else_in_an_address(server: str) -> None:
    for said in (LEAST | {"server": server}, LEAST | {"server": f"x/{server}"}):
        with pytest.raises(ModelError, match="server"):
            JupyterCopyForm.model_validate(said)


def test_what_is_typed_in_is_the_request_that_the_api_would_make_of_it() -> None:
    typed = LocalCopyForm.model_validate(LEAST | TERMS).request()
    assert typed == StagingRequest.model_validate({"method": "local_copy", **LEAST, **TERMS})
    assert typed.deadline == datetime(2029, 12, 31, 22, tzinfo=UTC)

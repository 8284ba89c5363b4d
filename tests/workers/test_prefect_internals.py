"""What of Prefect the warm worker uses that Prefect does not call public: when one of these fails, it has moved."""

from __future__ import annotations

import inspect
from uuid import uuid4

import prefect._internal.plugins.collections
import prefect.flow_engine
import pytest
from prefect._flow_run_suspension import observe_flow_run_suspension
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.plugins import load_prefect_collections
from prefect.runner._control_channel import ControlChannel
from prefect.runner._flow_run_executor import FlowRunExecutorContext
from prefect.runner._process_manager import ProcessHandle
from prefect.states import Scheduled
from prefect.workers.base import BaseJobConfiguration, BaseWorker

import workers
from workers import WarmWorker
from workers.prefect_internals import ENTRYPOINT, complete_models, pending
from workers.warm import WarmConfiguration

pytestmark = pytest.mark.prefect_internals


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_the_suspension_of_a_run_is_observed_where_we_replace_it() -> None:
    assert prefect.flow_engine.observe_flow_run_suspension is observe_flow_run_suspension  # type: ignore[attr-defined]
    assert parameters(observe_flow_run_suspension)[:2] == ["flow_run_id", "suspension_request"]


@pytest.mark.parametrize(
    "name",
    [
        "_propose_pending_state",
        "_release_limit_slot",
        "_propose_submitting_state",
        "_give_worker_labels_to_flow_run",
    ],
)
def test_the_base_worker_has_what_we_do_in_another_way(name: str) -> None:
    assert parameters(getattr(BaseWorker, name)) == parameters(getattr(WarmWorker, name))


def test_the_base_worker_keeps_its_client_where_we_look_for_it() -> None:
    assert "self._client" in inspect.getsource(BaseWorker.setup)


def test_a_runs_process_is_watched_through_its_pid_and_returncode() -> None:
    assert "_process" in parameters(ProcessHandle)
    assert "returncode" in inspect.getsource(ProcessHandle.returncode.fget)  # type: ignore[attr-defined] # mypy sees its function


def test_collections_are_not_loaded_where_some_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"workers": workers}
    monkeypatch.setattr(prefect._internal.plugins.collections, "_collections", known)  # noqa: SLF001
    assert load_prefect_collections() is known


def test_the_executions_are_made_of_a_flow_run_a_starter_and_a_way_to_the_flow() -> None:
    wanted = ["self", "flow_run", "starter", "resolve_flow", "propose_submitting", "hook_runner"]
    assert parameters(FlowRunExecutorContext.create_executor) == wanted
    assert {"register", "unregister"} <= set(dir(ControlChannel))


def test_whatever_a_template_says_it_comes_by_the_one_method_that_we_replace() -> None:
    assert "from_template_and_values" in inspect.getsource(BaseJobConfiguration.resolve_for_flow_run)
    assert parameters(BaseJobConfiguration.from_template_and_values) == parameters(
        WarmConfiguration.from_template_and_values
    )


def test_a_process_is_told_its_flow_by_the_variable_that_prefects_engine_reads() -> None:
    assert f'"{ENTRYPOINT}"' in inspect.getsource(prefect.flow_engine.load_flow)


def test_a_run_that_was_taken_up_reaches_its_process_whole() -> None:
    flow_run = FlowRun(flow_id=uuid4(), name="bold-heron", parameters={"request_ids": ["a"]}, state=Scheduled())
    read = FlowRun.model_validate_json(pending(flow_run))
    assert read.state is not None
    assert read.state.is_pending()
    assert read.model_dump(exclude={"state"}) == flow_run.model_dump(exclude={"state"})


def test_prefects_models_are_ready_before_a_run_needs_them() -> None:
    complete_models()
    assert FlowRun.__pydantic_complete__
    assert DeploymentResponse.__pydantic_complete__

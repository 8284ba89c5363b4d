"""Routes that cancel a request, or retry what failed of it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from stager.api.dependencies import OpenIntake, OpenOutcomes
from stager.api.retry import retry
from stager.api.routes.requests import TAKEN_IN, accepted
from stager.callers.body_route import BodyRoute
from stager.callers.current import CurrentCaller, SeenRequest
from stager.http.dependencies import CurrentSettings, OpenRecords
from stager.http.headers import IdempotencyKey, JupyterToken, Prefer
from stager.http.problems import documented
from stager.http.record_views import RequestSummary, summary_of
from stager.http.responses import EscapedJSON
from stager.models import NO_TRUTH, Frozen, Status
from stager.records.requests import cancel_items, cancel_request
from stager.records.tables import StagingRequestRow
from stager.settings import Settings

router = APIRouter(prefix="/requests", tags=["requests"], route_class=BodyRoute)

ANSWERS: dict[int | str, dict[str, object]] = {
    200: {"description": "The request has ended, now or before."},
    202: {
        "description": "Its run, or the service that sends it, was asked to stop, and does so within seconds; "
        "an nginx that sends it goes on.",
        "model": RequestSummary,
    },
    **documented(401, 403, 404, 422, 503),
}


# As many items as the body of a request may have by default.
MOST_CANCELLED = 10_000


class Cancellation(Frozen):
    """What to cancel."""

    items: tuple[Annotated[int, Field(ge=0, lt=2**31), NO_TRUTH], ...] | None = Field(
        None,
        min_length=1,
        max_length=MOST_CANCELLED,
        description="Positions of the items; by default all items.",
        examples=[[3, 4]],
    )


class Retry(Frozen):
    """What to retry."""

    statuses: tuple[Literal[Status.FAILED, Status.CANCELLED], ...] = Field(
        (Status.FAILED,),
        min_length=1,
        description="Statuses of the items to retry: those that failed, those that were cancelled, or both.",
    )


@router.delete(
    "/{request_id}",
    operation_id="cancel_request",
    summary="Cancel a request",
    response_model=RequestSummary,
    responses=ANSWERS,
)
async def cancel(settings: CurrentSettings, records: OpenRecords, row: SeenRequest) -> Response:
    """Cancel what has not ended; what is delivered stays."""
    return _answer(await records.ask(cancel_request, row.id), settings)


@router.post(
    "/{request_id}/cancel",
    operation_id="cancel_items",
    summary="Cancel a request, or some items",
    response_model=RequestSummary,
    responses=ANSWERS,
)
async def cancel_some(
    settings: CurrentSettings, records: OpenRecords, row: SeenRequest, wanted: Cancellation | None = None
) -> Response:
    """Cancel all items that have not ended, or the named ones; of these, all or none are accepted."""
    if wanted is None or wanted.items is None:
        return await cancel(settings, records, row)
    return _answer(await records.ask(cancel_items, row.id, wanted.items), settings)


@router.post(
    "/{request_id}/retry",
    operation_id="retry_request",
    summary="Retry what failed of a request, by a new request",
    response_model=RequestSummary,
    responses={
        **TAKEN_IN,
        **documented(400, 401, 403, 404, 409, 422, 429, 503),
    },
)
async def retry_failures(
    *,
    settings: CurrentSettings,
    intake: OpenIntake,
    outcomes: OpenOutcomes,
    caller: CurrentCaller,
    row: SeenRequest,
    wanted: Retry | None = None,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
    x_jupyter_token: JupyterToken = None,
) -> Response:
    """Record a new request on the same terms, of the items that failed; the old request stays as it is."""
    statuses = (wanted or Retry()).statuses
    again = await retry(intake, caller, row, statuses=statuses, idempotency_key=idempotency_key, secret=x_jupyter_token)
    return await accepted(again, prefer=prefer, settings=settings, outcomes=outcomes)


def _answer(row: StagingRequestRow, settings: Settings) -> Response:
    status = HTTPStatus.OK if row.status.is_final else HTTPStatus.ACCEPTED
    return EscapedJSON(summary_of(row, settings).model_dump(mode="json"), status_code=status)

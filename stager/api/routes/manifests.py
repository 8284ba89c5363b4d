"""Requests whose items come as an uploaded manifest."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from stager.api.dependencies import OpenIntake, OpenOutcomes
from stager.api.large.intake import LargeIntake
from stager.api.large.manifest import COMPRESSED, CSV, JSON_LINES, pages_of, parser_of, spool, spooled, text_of
from stager.api.routes.requests import TAKEN_IN, accepted
from stager.callers.current import CurrentCaller
from stager.callers.quota import check_open_requests
from stager.callers.request_body import TermsBody, named
from stager.downloads.routes.files import BINARY
from stager.errors import UnreadableManifest
from stager.http.dependencies import CountedCalls, CurrentSettings, OpenRecords
from stager.http.headers import IdempotencyKey, JupyterToken, Prefer
from stager.http.problems import documented
from stager.http.record_views import RequestSummary
from stager.models import StagingTerms

router = APIRouter(prefix="/requests", tags=["requests"])

MANIFEST = {
    "required": True,
    "description": "One item a line: CSV with a header, or JSON Lines.",
    "content": {
        CSV: {
            **BINARY,
            "example": "source,destination,checksum,size_bytes\na.fits,night-1/a.fits,adler32:0a1b2c3d,2880\n",
        },
        JSON_LINES: {
            **BINARY,
            "example": '{"source": "a.fits", "destination": "night-1/a.fits"}\n',
        },
    },
}


@router.post(
    "/from-manifest",
    operation_id="create_request_from_manifest",
    summary="Ask for a staging of very many items",
    response_model=RequestSummary,
    openapi_extra={"requestBody": MANIFEST},
    responses={
        **TAKEN_IN,
        **documented(400, 401, 403, 409, 413, 415, 422, 429, 503),
    },
)
async def ask_by_manifest(
    *,
    request: Request,
    settings: CurrentSettings,
    records: OpenRecords,
    long_calls: CountedCalls,
    intake: OpenIntake,
    outcomes: OpenOutcomes,
    caller: CurrentCaller,
    asked: Annotated[TermsBody, Query()],
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
    x_jupyter_token: JupyterToken = None,
) -> Response:
    """Record the items as they arrive, and return the request once all of them are recorded."""
    parse = parser_of(request.headers.get("content-type", ""))
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnreadableManifest(COMPRESSED)
    terms: StagingTerms = named(asked, caller, place="query")
    await intake.check_terms(caller, terms)
    limit = settings.max_open_requests
    await check_open_requests(records, terms.username, limit=limit, idempotency_key=idempotency_key)
    with long_calls.one_more(terms.username), spool() as file:
        await spooled(request.stream(), file)
        large = LargeIntake(
            intake, caller, terms, origin="api", idempotency_key=idempotency_key, secret=x_jupyter_token
        )
        row = await large.take(pages_of(text_of(file), parse))
    return await accepted(row, prefer=prefer, settings=settings, outcomes=outcomes)

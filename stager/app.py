"""The application, which puts all rooms together: routes, errors, log, and the background tasks."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from threading import Thread

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware

from stager.api.intake import Intake
from stager.api.outcome import Outcomes
from stager.api.routes import (
    cancellations,
    config,
    create_file,
    deliveries,
    docs,
    events,
    items,
    limits,
    manifests,
    manual,
    problems,
    requests,
    staging,
)
from stager.background import background_task
from stager.callers.area_checks import keep_areas_known
from stager.callers.area_reading import tell_of_areas
from stager.callers.authenticator import open_authenticator
from stager.dispatch.prefect import PrefectClient
from stager.dispatch.reconciler import Reconciler
from stager.dispatch.running import dispatching
from stager.downloads import open_downloads
from stager.downloads.routes import areas, files, internal, links
from stager.errors import ConfigurationError
from stager.garbage import search_less
from stager.http.call_limits import CallLimits
from stager.http.long_calls import LongCalls
from stager.http.offered_methods import tell_of_methods
from stager.http.openapi import DescribedAPI
from stager.http.problems import answer_errors
from stager.http.query import check_query
from stager.http.request_log import RequestLog
from stager.http.responses import EscapedJSON
from stager.http.safe_headers import SafeHeaders
from stager.http.trailing_slash import TrailingSlash
from stager.http.verbs import HeadOfGet
from stager.insight.live.feed import Feed
from stager.insight.metrics.recorded import RecordedMetrics
from stager.insight.routes import explanations, health, logs, metrics, streams
from stager.logging import set_up_logging
from stager.records.database import open_records
from stager.settings import Settings, get_settings
from stager.tape import routes as tape
from stager.user_secrets import SecretKeys

# The version of the HTTP API, not of the package.
API_VERSION = "1"
# Headers that pages of allowed web sites may read, beside the few that a browser always lets them.
EXPOSED = [
    *("Location", "Preference-Applied", "Retry-After", "WWW-Authenticate", "X-Request-ID"),
    *("ETag", "Repr-Digest", "Accept-Ranges", "Content-Range", "Content-Disposition"),
]


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application, which opens what it needs when it starts.

    Parameters
    ----------
    settings
        What the operator set; by default, what the environment says.

    Raises
    ------
    ConfigurationError
        An nginx in front is named, and no secret that it proves itself by; or a key of users' secrets is none.
    """
    settings = settings or get_settings()
    if settings.nginx_files and settings.nginx_secret is None:
        raise ConfigurationError("STAGER_NGINX_SECRET", "it is not set, and STAGER_NGINX_FILES is")
    secret_keys = SecretKeys(settings.secret_key)
    set_up_logging(settings)

    app = DescribedAPI(
        title="SKA staging service",
        description="Brings data products to where a scientist works: checked, verified, read-only, recorded.",
        version=API_VERSION,
        servers=[{"url": ".", "description": "Where this document is."}],
        lifespan=_serve,
        docs_url=None,  # they load Swagger UI from another host
        redoc_url=None,
        default_response_class=EscapedJSON,
        generate_unique_id_function=lambda route: route.name,
        license_info={"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        redirect_slashes=False,
        strict_content_type=False,  # the demo's clients need not name one
        dependencies=[Depends(check_query)],
    )
    app.state.settings, app.state.secret_keys = settings, secret_keys
    _add_middleware(app, settings)
    answer_errors(app)
    of_requests = (streams, manifests, requests, items, events, deliveries, explanations, cancellations)
    of_site = (health, limits, metrics, logs, config, create_file, problems, docs, manual)
    # Routes are tried in this order: first those that are called many times a second.
    for routes in (files, links, staging, *of_requests, areas, tape, *of_site):
        app.include_router(routes.router)
    if settings.nginx_files:
        app.include_router(internal.router)
    app.router.routes += [docs.ASSETS, manual.pages_of(settings)]
    return app


@asynccontextmanager
async def _serve(app: FastAPI) -> AsyncIterator[None]:
    """Open what the routes need and start the background tasks, and end all of it at the end."""
    state = app.state
    settings: Settings = state.settings
    recorded = asyncio.Event()
    async with (
        open_records(settings.database_url.get_secret_value()) as records,
        PrefectClient(settings) as prefect,
        open_authenticator(settings) as authenticator,
        open_downloads(settings, records) as downloads,
    ):
        tell_of_methods(settings)
        state.records, state.prefect, state.authenticator, state.downloads = records, prefect, authenticator, downloads
        state.long_calls = long_calls = LongCalls(settings.max_long_calls)
        state.intake = Intake(settings, records, recorded=recorded, secret_keys=state.secret_keys)
        state.outcomes = Outcomes(records, long_calls)
        state.feed, state.figures = Feed(records), RecordedMetrics()
        dispatch: AbstractAsyncContextManager[Reconciler | None] = nullcontext()
        if settings.dispatch:
            look_every = settings.reconcile_interval
            dispatch = dispatching(settings, records=records, prefect=prefect, recorded=recorded, look_every=look_every)
        async with (
            background_task(_warm_up(settings), name="areas"),
            dispatch as state.reconciler,
            background_task(state.feed.run(), name="feed"),
        ):
            yield


async def _warm_up(settings: Settings) -> None:
    """Import Prefect's package before anybody waits for it, then keep the storage areas up to date, until cancelled."""
    await asyncio.to_thread(_import_prefect)
    # A mount that hangs holds up this task only.
    Thread(target=tell_of_areas, args=(settings,), name="check of the areas", daemon=True).start()
    await keep_areas_known()


def _import_prefect() -> None:
    """Import Prefect's package, and exclude it from garbage collection."""
    import blocks.areas  # noqa: F401, PLC0415 - takes seconds

    gc.collect()
    gc.freeze()
    search_less()


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Add the middleware; what is added last sees a request first."""
    app.add_middleware(HeadOfGet)
    app.add_middleware(CallLimits, settings=settings)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    app.add_middleware(SafeHeaders, is_over_tls=settings.public_url.startswith("https://"))
    app.add_middleware(TrailingSlash)
    app.add_middleware(RequestLog)

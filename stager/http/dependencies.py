"""FastAPI dependencies of every room: the settings, the records, and the count of long calls."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from stager.http.long_calls import LongCalls
from stager.records.database import AsyncDatabase
from stager.settings import Settings


async def _settings(request: Request) -> Settings:  # async, as all of them, or FastAPI calls them in threads
    settings: Settings = request.app.state.settings
    return settings


async def _records(request: Request) -> AsyncDatabase:
    records: AsyncDatabase = request.app.state.records
    return records


async def _long_calls(request: Request) -> LongCalls:
    long_calls: LongCalls = request.app.state.long_calls
    return long_calls


CurrentSettings = Annotated[Settings, Depends(_settings)]
OpenRecords = Annotated[AsyncDatabase, Depends(_records)]
CountedCalls = Annotated[LongCalls, Depends(_long_calls)]

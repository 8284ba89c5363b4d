"""FastAPI dependencies of the routes that create requests: the intake, and what waits for outcomes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from stager.api.intake import Intake
from stager.api.outcome import Outcomes


async def _intake(request: Request) -> Intake:  # async, as both, or FastAPI calls them in threads
    intake: Intake = request.app.state.intake
    return intake


async def _outcomes(request: Request) -> Outcomes:
    outcomes: Outcomes = request.app.state.outcomes
    return outcomes


OpenIntake = Annotated[Intake, Depends(_intake)]
OpenOutcomes = Annotated[Outcomes, Depends(_outcomes)]

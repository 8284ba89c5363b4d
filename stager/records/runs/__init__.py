"""Runs: which requests go into one, how much they are, and what becomes of those whose run died."""

from stager.records.runs.crashes import note_trouble, open_flow_runs, resubmit_requests
from stager.records.runs.groups import Ride, Turn, claim_ride, turns, unasked_rides
from stager.records.runs.load import Weight
from stager.records.runs.stalled import (
    files_to_stop,
    renew_requests,
    requests_to_stop,
    unfinished_requests,
    waiting_requests,
)
from stager.records.runs.statement_cache import rehearse

__all__ = [
    "Ride",
    "Turn",
    "Weight",
    "claim_ride",
    "files_to_stop",
    "note_trouble",
    "open_flow_runs",
    "rehearse",
    "renew_requests",
    "requests_to_stop",
    "resubmit_requests",
    "turns",
    "unasked_rides",
    "unfinished_requests",
    "waiting_requests",
]

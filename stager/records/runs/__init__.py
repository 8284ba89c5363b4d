"""Runs: which requests go into one, how much they are, and what becomes of those whose run died."""

from stager.records.runs.crashes import note_trouble, open_flow_runs, resubmit_requests
from stager.records.runs.groups import Ride, Turn, claim_ride, note_flow_run, turns, unasked_rides
from stager.records.runs.load import Weight
from stager.records.runs.stalled import unfinished_requests, waiting_requests
from stager.records.runs.statement_cache import rehearse

__all__ = [
    "Ride",
    "Turn",
    "Weight",
    "claim_ride",
    "note_flow_run",
    "note_trouble",
    "open_flow_runs",
    "rehearse",
    "resubmit_requests",
    "turns",
    "unasked_rides",
    "unfinished_requests",
    "waiting_requests",
]

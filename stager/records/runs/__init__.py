"""Runs: which requests go into one, how much load they are, and what becomes of those whose run died."""

from stager.records.runs.crashes import note_trouble, open_flow_runs, resubmit_requests
from stager.records.runs.fair_share import FairShare, fair_shares
from stager.records.runs.load import Load
from stager.records.runs.run_groups import RunGroup, claim_run_group, claims_without_run, load_of, note_flow_run
from stager.records.runs.stalled import silent_downloads, unfinished_shards, waiting_requests
from stager.records.runs.statement_cache import fill_statement_cache

__all__ = [
    "FairShare",
    "Load",
    "RunGroup",
    "claim_run_group",
    "claims_without_run",
    "fair_shares",
    "fill_statement_cache",
    "load_of",
    "note_flow_run",
    "note_trouble",
    "open_flow_runs",
    "resubmit_requests",
    "silent_downloads",
    "unfinished_shards",
    "waiting_requests",
]

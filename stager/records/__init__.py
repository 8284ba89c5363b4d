"""The records: what was asked for, who does it, and how it ended.

Each function is one transaction, which is run again while the database is
away or locked, and never does its work twice.
"""

from stager.records.crashes import note_trouble, open_flow_runs, resubmit_requests
from stager.records.database import Database
from stager.records.destination import destination_key
from stager.records.downloads import (
    DIRECT_DOWNLOAD,
    DOWNLOAD_AREA,
    DownloadBegun,
    DownloadEnded,
    checksum_of_source,
    new_download_id,
    write_downloads,
)
from stager.records.events import events_of
from stager.records.figures import Backlog, Ending, backlogs, database_time, fold_endings
from stager.records.files import (
    FileChange,
    Progress,
    files_by_id,
    files_of,
    first_files,
    last_copies,
    note_progress,
    save_files,
)
from stager.records.leases import Busy, acquire_leases, confirm_lease, release_leases, renew_leases
from stager.records.lifecycle import cancel_request, close_request, close_requests, fail_request, start_requests
from stager.records.manifests import ManifestWriter, manifest_of, manifest_writer
from stager.records.requests import Page, get_request, get_requests, has_open_requests, list_requests, note_flow_run
from stager.records.runs import Ride, Turn, claim_ride, turns, unasked_rides
from stager.records.submission import create_request
from stager.records.tables import DestinationLease, Event, StagedFile, StagingRequestRow
from stager.records.unfinished import renew_requests, requests_to_stop, unfinished_requests, waiting_requests
from stager.records.weights import Weight

__all__ = [
    "DIRECT_DOWNLOAD",
    "DOWNLOAD_AREA",
    "Backlog",
    "Busy",
    "Database",
    "DestinationLease",
    "DownloadBegun",
    "DownloadEnded",
    "Ending",
    "Event",
    "FileChange",
    "ManifestWriter",
    "Page",
    "Progress",
    "Ride",
    "StagedFile",
    "StagingRequestRow",
    "Turn",
    "Weight",
    "acquire_leases",
    "backlogs",
    "cancel_request",
    "checksum_of_source",
    "claim_ride",
    "close_request",
    "close_requests",
    "confirm_lease",
    "create_request",
    "database_time",
    "destination_key",
    "events_of",
    "fail_request",
    "files_by_id",
    "files_of",
    "first_files",
    "fold_endings",
    "get_request",
    "get_requests",
    "has_open_requests",
    "last_copies",
    "list_requests",
    "manifest_of",
    "manifest_writer",
    "new_download_id",
    "note_flow_run",
    "note_progress",
    "note_trouble",
    "open_flow_runs",
    "release_leases",
    "renew_leases",
    "renew_requests",
    "requests_to_stop",
    "resubmit_requests",
    "save_files",
    "start_requests",
    "turns",
    "unasked_rides",
    "unfinished_requests",
    "waiting_requests",
    "write_downloads",
]

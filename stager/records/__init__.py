"""The records: what was asked for, who does it, and how it ended.

Each function is one transaction, which is run again while the database is
away or locked, and never does its work twice.
"""

from stager.records.arrival import (
    abandon_arrival,
    abandoned_arrivals,
    add_items,
    begin_arrival,
    publish_arrival,
)
from stager.records.async_database import AsyncDatabase, open_records
from stager.records.cancellation import cancel_items, cancel_request, cancel_run
from stager.records.crashes import note_trouble, open_flow_runs, resubmit_requests
from stager.records.database import Database
from stager.records.deadlines import stop_overdue_requests
from stager.records.destination import destination_key
from stager.records.digest import Digest
from stager.records.download_links import LinkedObject, add_link, look_at_link, take_link
from stager.records.downloads import (
    DIRECT_DOWNLOAD,
    DownloadBegun,
    DownloadEnded,
    DownloadProgress,
    checksum_of_source,
    downloads_to_stop,
    new_download_id,
    note_sent,
    write_downloads,
)
from stager.records.drafts import ClientWish, Draft, draft_of
from stager.records.events import events_of
from stager.records.figures import Backlog, Ending, backlogs, database_time, fold_endings
from stager.records.files import (
    FileChange,
    Progress,
    counts_of,
    files_by_id,
    files_of,
    first_files,
    has_directory,
    last_copies,
    note_progress,
    save_files,
)
from stager.records.group_commit import GroupCommit
from stager.records.leases import Busy, acquire_leases, confirm_lease, release_leases, renew_leases
from stager.records.lifecycle import close_requests, fail_request, start_requests
from stager.records.live import (
    LiveEvent,
    RequestProgress,
    missed_events,
    progress_of,
    settled_events,
    settled_position,
    started_requests,
)
from stager.records.manifests import manifest_of, manifest_part, manifest_writer, told_by
from stager.records.reasons import Remainder, Sample, Wait, last_events, note_waits, remainder_of, samples, wait_for
from stager.records.rehearsal import rehearse
from stager.records.requests import get_request, get_requests, has_open_requests, list_requests, note_flow_run
from stager.records.retries import item_again, terms_again
from stager.records.runs import Ride, Turn, claim_ride, turns, unasked_rides
from stager.records.stages import files_changed_since, forget_request, positions_of, release_files
from stager.records.submission import create_request, create_requests, request_of_key
from stager.records.tables import Event, StagedFile, StagingRequestRow
from stager.records.unfinished import (
    files_to_stop,
    renew_requests,
    requests_to_stop,
    unfinished_requests,
    waiting_requests,
)
from stager.records.weights import Weight

__all__ = [
    "DIRECT_DOWNLOAD",
    "AsyncDatabase",
    "Backlog",
    "Busy",
    "ClientWish",
    "Database",
    "Digest",
    "DownloadBegun",
    "DownloadEnded",
    "DownloadProgress",
    "Draft",
    "Ending",
    "Event",
    "FileChange",
    "GroupCommit",
    "LinkedObject",
    "LiveEvent",
    "Progress",
    "Remainder",
    "RequestProgress",
    "Ride",
    "Sample",
    "StagedFile",
    "StagingRequestRow",
    "Turn",
    "Wait",
    "Weight",
    "abandon_arrival",
    "abandoned_arrivals",
    "acquire_leases",
    "add_items",
    "add_link",
    "backlogs",
    "begin_arrival",
    "cancel_items",
    "cancel_request",
    "cancel_run",
    "checksum_of_source",
    "claim_ride",
    "close_requests",
    "confirm_lease",
    "counts_of",
    "create_request",
    "create_requests",
    "database_time",
    "destination_key",
    "downloads_to_stop",
    "draft_of",
    "events_of",
    "fail_request",
    "files_by_id",
    "files_changed_since",
    "files_of",
    "files_to_stop",
    "first_files",
    "fold_endings",
    "forget_request",
    "get_request",
    "get_requests",
    "has_directory",
    "has_open_requests",
    "item_again",
    "last_copies",
    "last_events",
    "list_requests",
    "look_at_link",
    "manifest_of",
    "manifest_part",
    "manifest_writer",
    "missed_events",
    "new_download_id",
    "note_flow_run",
    "note_progress",
    "note_sent",
    "note_trouble",
    "note_waits",
    "open_flow_runs",
    "open_records",
    "positions_of",
    "progress_of",
    "publish_arrival",
    "rehearse",
    "release_files",
    "release_leases",
    "remainder_of",
    "renew_leases",
    "renew_requests",
    "request_of_key",
    "requests_to_stop",
    "resubmit_requests",
    "samples",
    "save_files",
    "settled_events",
    "settled_position",
    "start_requests",
    "started_requests",
    "stop_overdue_requests",
    "take_link",
    "terms_again",
    "told_by",
    "turns",
    "unasked_rides",
    "unfinished_requests",
    "wait_for",
    "waiting_requests",
    "write_downloads",
]

"""Requests: how one is written down, found, begun, cancelled and closed."""

from stager.records.requests.body_digest import Digest
from stager.records.requests.cancellation import cancel_items, cancel_request, cancel_run
from stager.records.requests.creation import create_request, create_requests, request_of_key
from stager.records.requests.deadlines import stop_overdue_requests
from stager.records.requests.heartbeat import files_to_stop, renew_requests, requests_to_stop
from stager.records.requests.large import abandon_arrival, abandoned_arrivals, add_items, begin_arrival, publish_arrival
from stager.records.requests.lifecycle import close_requests, fail_request, start_requests
from stager.records.requests.lookup import get_request, get_requests, has_open_requests, list_requests
from stager.records.requests.new_rows import ClientWish, Draft, draft_of
from stager.records.requests.retries import item_again, terms_again

__all__ = [
    "ClientWish",
    "Digest",
    "Draft",
    "abandon_arrival",
    "abandoned_arrivals",
    "add_items",
    "begin_arrival",
    "cancel_items",
    "cancel_request",
    "cancel_run",
    "close_requests",
    "create_request",
    "create_requests",
    "draft_of",
    "fail_request",
    "files_to_stop",
    "get_request",
    "get_requests",
    "has_open_requests",
    "item_again",
    "list_requests",
    "publish_arrival",
    "renew_requests",
    "request_of_key",
    "requests_to_stop",
    "start_requests",
    "stop_overdue_requests",
    "terms_again",
]

"""Requests: they are recorded, found, begun, cancelled and closed."""

from stager.records.requests.adoption import adopt_requests
from stager.records.requests.body_digest import BodyDigest
from stager.records.requests.cancellation import cancel_items, cancel_request, cancel_run, end_cancelled_shards
from stager.records.requests.creation import create_request, create_requests, request_of_key
from stager.records.requests.deadlines import stop_overdue_requests
from stager.records.requests.expansion import (
    AddedItem,
    add_expanded,
    end_expansion,
    expansion_of,
    expansions_among,
)
from stager.records.requests.large import (
    abandon_large_request,
    abandoned_large_requests,
    add_items,
    begin_large_request,
    submit_large_request,
)
from stager.records.requests.lifecycle import close_requests, fail_request, start_requests
from stager.records.requests.lookup import get_request, get_requests, has_open_requests, list_requests
from stager.records.requests.new_rows import ClientWish, NewRequest, new_request
from stager.records.requests.retries import item_again, terms_again
from stager.records.requests.under_way import files_to_stop, renew_requests, requests_to_stop

__all__ = [
    "AddedItem",
    "BodyDigest",
    "ClientWish",
    "NewRequest",
    "abandon_large_request",
    "abandoned_large_requests",
    "add_expanded",
    "add_items",
    "adopt_requests",
    "begin_large_request",
    "cancel_items",
    "cancel_request",
    "cancel_run",
    "close_requests",
    "create_request",
    "create_requests",
    "end_cancelled_shards",
    "end_expansion",
    "expansion_of",
    "expansions_among",
    "fail_request",
    "files_to_stop",
    "get_request",
    "get_requests",
    "has_open_requests",
    "item_again",
    "list_requests",
    "new_request",
    "renew_requests",
    "request_of_key",
    "requests_to_stop",
    "start_requests",
    "stop_overdue_requests",
    "submit_large_request",
    "terms_again",
]

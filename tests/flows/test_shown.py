"""What cannot be shown in Prefect's pages is none of the run's business."""

from __future__ import annotations

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from stager.errors import DatabaseUnavailable
from tasks.shown import shown_if_possible

ASKED = httpx.Request("POST", "http://prefect/api/artifacts/")
REFUSED = PrefectHTTPStatusError("413", request=ASKED, response=httpx.Response(413, request=ASKED))


@pytest.mark.parametrize(
    "error",
    [
        REFUSED,
        DatabaseUnavailable("away"),
        ValueError("no JSON: nan"),
        RuntimeError("the loop is closed"),
        OSError(28, "full"),
    ],
    ids=repr,
)
def test_what_cannot_be_shown_fails_nothing_and_is_logged(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with shown_if_possible():
        raise error

    assert [record.getMessage() for record in caplog.records if str(error) in record.getMessage()]


def test_who_stops_a_run_is_heeded_while_something_is_shown() -> None:
    with pytest.raises(KeyboardInterrupt), shown_if_possible():
        raise KeyboardInterrupt

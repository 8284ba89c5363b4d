"""Log records of one line each: names that others chose can neither begin another line nor control a terminal."""

from __future__ import annotations

import logging
import traceback

from stager.errors import printable

# Stands before each line of a traceback: no other line of the log begins so.
MARGIN = "    "


class OneLine(logging.LogRecord):
    """A record whose message is one printable line; the lines of its traceback stand behind a margin."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type] # LogRecord's
        if self.exc_info and self.exc_info[0]:
            self.exc_text = indented("".join(traceback.format_exception(*self.exc_info)))

    def getMessage(self) -> str:  # noqa: N802 - LogRecord's
        """Return the message with what is not printable as escapes."""
        return printable(super().getMessage())


def log_one_line_a_record() -> None:
    """Give all loggers of this process such records, whatever handles and formats them."""
    logging.setLogRecordFactory(OneLine)


def indented(text: str) -> str:
    """Return a text of several lines, each printable and indented by a margin."""
    return "\n".join(MARGIN + printable(line) for line in text.splitlines())

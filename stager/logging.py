"""The log: JSON lines in the file and on the console, where a person at a terminal gets words; no secrets in either."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping, Sequence
from logging.handlers import RotatingFileHandler
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.types import Processor

from stager.errors import printable
from stager.log_records import indented
from stager.settings import Settings

# The file is rotated at this size in bytes, and that many old ones are kept.
FILE_BYTES = 50_000_000
OLD_FILES = 5

_HIDDEN = "***"
_SECRET_KEY = re.compile(r"token|passw|secret|authorization|cookie|api[_-]?key|credential", re.IGNORECASE)
_SECRETS = (
    # user:password@ in an address, also when the password has an @ of its own
    (re.compile(r"(://[^\s:/@]*:)[^\s/]+@"), r"\1***@"),
    (
        re.compile(r"""(?ix) (\b\w*(?:token|passw(?:or)?d|secret|api[_-]?key)\b ['"]? \s*[=:]\s* ['"]?) [^\s&'",}]+"""),
        r"\1***",
    ),
    (re.compile(r"""(?i)(\bauthorization\b['"]?\s*[=:]\s*['"]?)[^'",\r\n}]+"""), r"\1***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), r"\1 ***"),
)
# A text without any of these words has no secret: one search costs less than all of the above.
_MAY_BE_SECRET = re.compile(r"token|passw|secret|api[_-]?key|authorization|bearer|basic|://", re.IGNORECASE)


def set_up_logging(settings: Settings) -> None:
    """Send all log records of this process to the console and to the log file."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_shared(), ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_console(), _file(settings)]
    level = logging.getLevelNamesMapping()[settings.logging_level.upper()]
    root.setLevel(max(level, logging.INFO))  # what libraries say at DEBUG has bodies of answers in it
    for ours in ("stager", "blocks"):
        logging.getLogger(ours).setLevel(level)
    logging.captureWarnings(capture=True)
    granian = logging.getLogger("_granian")  # its lines belong into ours
    granian.handlers, granian.propagate = [], True
    for chatty in ("httpx", "httpcore"):  # a line a call to Prefect
        logging.getLogger(chatty).setLevel(logging.WARNING)


def hide_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace tokens and passwords, named by their key or recognised in a text."""
    return {key: _HIDDEN if _SECRET_KEY.search(key) else _without_secrets(value) for key, value in event.items()}


def _without_secrets(value: object) -> object:
    if isinstance(value, str):
        if not _MAY_BE_SECRET.search(value):
            return value
        for pattern, replacement in _SECRETS:
            value = pattern.sub(replacement, value)
        return value
    if isinstance(value, dict):
        return hide_secrets(None, "", {str(key): item for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return [_without_secrets(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float)) else _without_secrets(str(value))


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_secrets,  # here, since it is what costs most, and console and file share it
    ]


class _OnceFormatted(ProcessorFormatter):
    """Formats each record once: console and file write the same line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        if "line" not in record.__dict__:
            record.__dict__["line"] = super().format(record)
        line: str = record.__dict__["line"]
        return line


def _formatter(
    renderer: Processor, kind: type[ProcessorFormatter] = ProcessorFormatter, *, before: Sequence[Processor] = ()
) -> ProcessorFormatter:
    return kind(foreign_pre_chain=_shared(), processors=[ProcessorFormatter.remove_processors_meta, *before, renderer])


def _json() -> ProcessorFormatter:
    return _formatter(structlog.processors.JSONRenderer(), _OnceFormatted)


def _console() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)  # which escapes what the terminal cannot show
    is_for_a_person = sys.stderr.isatty()
    handler.setFormatter(in_words() if is_for_a_person else _json())
    return handler


def in_words(*, colors: bool = True) -> ProcessorFormatter:
    """Return a processor that formats lines for a person at a terminal."""
    return _formatter(structlog.dev.ConsoleRenderer(colors=colors), before=[keep_to_lines])


def keep_to_lines(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape what would begin a line or control a terminal; JSON has its own escapes."""
    return {key: _printable(key, value) for key, value in event.items()}


def _printable(key: str, value: object) -> object:
    if key in ("exception", "stack"):
        return indented(str(value))
    return value if value is None or isinstance(value, (bool, int, float)) else printable(str(value))


def _file(settings: Settings) -> logging.Handler:
    settings.log_file.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(settings.log_file, maxBytes=FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8")
    handler.setFormatter(_json())
    return handler

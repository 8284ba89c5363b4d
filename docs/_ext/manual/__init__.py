"""What of the manual is made: of the code settings, chart values, HTTP API and more; of what was measured, a sizing.

A page that has some of it says ``<!-- generated: NAME -->`` where it goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from docutils import nodes
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

from deployments.local.settings import LocalSettings
from manual.bulk_sizing import bulk_sizing
from manual.chart_values import chart_values
from manual.http_api import http_api, openapi
from manual.problem_kinds import problem_kinds
from manual.promises import promises
from manual.python_api import let_flows_be_functions, python_packages, write_python_api
from manual.settings_table import settings_table
from stager.settings import Settings

MARK = re.compile(r"<!-- generated: ([a-z-]+) -->")
GENERATED: dict[str, Callable[[], str]] = {
    "settings": lambda: settings_table(Settings),
    "settings-of-make-up": lambda: settings_table(LocalSettings),
    "bulk-sizing": bulk_sizing,
    "chart-values": chart_values,
    "http-api": lambda: http_api(openapi()),
    "problems": problem_kinds,
    "promises": promises,
    "python-packages": python_packages,
}
REFERENCE = ("settings", "chart-values", "http-api", "methods", "problems", "python")
PAGES = {"explanation/bulk", *(f"reference/{page}" for page in REFERENCE)}

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, bool]:
    """Have Sphinx ask for it."""
    app.connect("builder-inited", _write_python_api)
    app.connect("env-get-outdated", _made_anew)
    app.connect("source-read", _fill_in)
    app.connect("autodoc-process-signature", _leave_out_fields)
    app.connect("doctree-resolved", _look_at_addresses)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


@cache
def generated(name: str) -> str:
    """Return what goes where a page says ``<!-- generated: NAME -->``."""
    return GENERATED[name]()


def _write_python_api(app: Sphinx) -> None:
    write_python_api(Path(app.srcdir) / "reference" / "python")
    let_flows_be_functions()


def _made_anew(_app: Sphinx, _env: BuildEnvironment, *_which: set[str]) -> Iterable[str]:
    """Name the pages that are read again each time: what they are made of is no page."""
    return PAGES


def _fill_in(_app: Sphinx, _page: str, source: list[str]) -> None:
    source[0] = MARK.sub(lambda mark: generated(mark[1]), source[0])


def _leave_out_fields(
    _app: Sphinx,
    kind: str,
    _name: str,
    documented: object,
    _options: object,
    _signature: str,
    _returns: str,
) -> tuple[str, None] | None:
    """Leave out the signature of a model: it repeats all its fields."""
    is_model = kind == "class" and isinstance(documented, type) and issubclass(documented, BaseModel)
    return ("", None) if is_model else None


def _look_at_addresses(_app: Sphinx, tree: nodes.document, page: str) -> None:
    """Warn of an address of another host that can be none: nothing is fetched, only looked at."""
    for link in tree.findall(nodes.reference):
        address = urlsplit(link.get("refuri", ""))
        if address.scheme in {"http", "https"} and not re.fullmatch(r"[\w-]+(\.[\w-]+)+", address.hostname or ""):
            logger.warning("%s is no address", link["refuri"], location=page)

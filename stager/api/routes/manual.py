"""The manual, as ``make docs`` has built it: pages from a folder, without a token and without another host."""

from __future__ import annotations

import base64
import hashlib
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from stager.errors import ManualNotBuilt
from stager.settings import Settings

router = APIRouter(include_in_schema=False)

FIRST_PAGE = "index.html"
# The one inline script of the pages, to the letter; by it a dark page is dark from its first moment.
THEME_SCRIPT = '\n      document.body.dataset.theme = localStorage.getItem("theme") || "auto";\n    '
_HASH = base64.b64encode(hashlib.sha256(THEME_SCRIPT.encode()).digest()).decode()
# The pages set widths of columns by themselves, draw some signs from data addresses, and their search reads pages.
POLICY = (
    f"default-src 'none'; script-src 'self' 'sha256-{_HASH}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class ManualPages(StaticFiles):
    """ASGI application that serves the files of the manual, or says that it was not built.

    Parameters
    ----------
    folder
        Where the manual was built; None where the operator names no folder.
    """

    def __init__(self, folder: Path | None) -> None:
        super().__init__(directory=folder, check_dir=False)
        self.config_checked = True  # else a folder that is missing would be an error of the service's

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a page, or a file that it needs.

        Raises
        ------
        ManualNotBuilt
            There is no manual.
        HTTPException
            There is one, and nothing of that name in it; or the verb is none that a page has.
        """
        try:
            answer = await super().get_response(FIRST_PAGE if path == "." else path, scope)
        except HTTPException as error:
            is_built = self.directory is not None and (Path(self.directory) / FIRST_PAGE).exists()
            if is_built or error.status_code != HTTPStatus.NOT_FOUND:
                raise
            raise ManualNotBuilt from error
        answer.headers["Content-Security-Policy"] = POLICY
        return answer


def pages_of(settings: Settings) -> Mount:
    """Return the route of the manual's pages."""
    return Mount("/manual", ManualPages(settings.manual))


@router.get("/manual")
async def lead_to_manual() -> RedirectResponse:
    """Redirect to the first page, also where a proxy serves the service beneath a folder."""
    return RedirectResponse("manual/")

"""A page on which the calls can be tried: Swagger UI, without any other host."""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)

# Only Swagger UI's files of that package are used.
ASSETS = Mount("/docs/assets", StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static"))
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>SKA staging service</title>
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/page.js"></script>
</body>
</html>
"""
SCRIPT = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
});
"""
# Swagger UI sets styles by itself, and draws its arrows from data addresses.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)


@router.get("/")
async def lead_to_page() -> RedirectResponse:
    """Redirect from the service's root to the page, also where a proxy serves it beneath a folder."""
    return RedirectResponse("docs")


@router.get("/docs")
async def show_page() -> HTMLResponse:
    """Return the page."""
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})


@router.get("/docs/page.js")
async def show_script() -> Response:
    """Return the script that starts Swagger UI."""
    return Response(SCRIPT, media_type="text/javascript")

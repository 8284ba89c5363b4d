"""How the manual is built: ``make docs``. https://www.sphinx-doc.org/en/master/usage/configuration.html."""

from __future__ import annotations

import logging
import os
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]
# What is imported to be described asks nobody, and writes nothing beside the manual.
os.environ |= {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}

logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of its plugins

project = "SKA staging service"
author = "its contributors"
version = release = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "manual"]
exclude_patterns = ["_ext", "reference/speed/*"]  # the latter are parts of one page
highlight_language = "none"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

autodoc_default_options = {"member-order": "bysource", "ignore-module-all": True}  # each by its own module
autodoc_inherit_docstrings = False  # what other packages wrote is theirs
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_google_docstring = False
napoleon_use_ivar = True
# What other packages document is not looked up: that would need their hosts.
nitpick_ignore_regex = [
    ("py:.*", r"(?!(stager|flows|tasks|blocks|workers)\.).*"),
    ("py:class", r".*\.([_a-z]\w*|[A-Z]|Named)"),  # a function that FastAPI asks for a parameter, and type variables
]

suppress_warnings = ["ref.python"]  # a docstring names a class by its last word, which two may share

html_theme = "furo"
html_title = f"SKA staging service {version}"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_static_path: list[str] = []

# No other host is asked; manual looks at their addresses' form.
linkcheck_ignore = [r"https?://"]

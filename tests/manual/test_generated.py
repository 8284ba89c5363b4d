"""What of the manual is made of the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from manual import GENERATED, PAGES, generated
from manual.bulk_sizing import MEASURED
from manual.chart_values import CHART
from manual.problem_kinds import problem_kinds
from manual.python_api import write_python_api
from stager import errors
from stager.errors import StagingError
from stager.http.problems import slug

DOCS = Path(__file__).parents[2] / "docs"


def test_every_page_that_is_made_anew_has_marks_and_no_other_page_has() -> None:
    pages = {page: page.read_text() for page in DOCS.rglob("*.md")}
    marks = {page: re.findall(r"<!-- generated: ([a-z-]+) -->", text) for page, text in pages.items()}
    assert {str(page.relative_to(DOCS).with_suffix("")) for page, found in marks.items() if found} == PAGES
    assert sorted(mark for found in marks.values() for mark in found) == sorted(GENERATED)


def test_every_value_of_the_chart_is_in_the_reference() -> None:
    keys = re.findall(r"^\| `([\w.]+)` \|", generated("chart-values"), flags=re.MULTILINE)
    assert keys
    assert keys == [*dict.fromkeys(keys)]
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert {key.partition(".")[0] for key in keys} == set(schema["properties"])


def test_every_kind_of_problem_is_in_the_reference() -> None:
    kinds = {
        slug(kind)
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, StagingError) and kind is not StagingError
    }
    assert set(re.findall(r"^\| `([\w-]+)` \|", problem_kinds(), flags=re.MULTILINE)) == kinds


def test_the_sizing_of_bulk_staging_begins_with_what_was_measured() -> None:
    measured = re.findall(r"^\| an item each, one request \| ([\d,]+) ", MEASURED.read_text(), flags=re.MULTILINE)
    assert measured
    assert f"| items a second, one run | {' | '.join(measured)} |\n" in generated("bulk-sizing")


def test_a_package_that_is_gone_leaves_no_page(tmp_path: Path) -> None:
    (tmp_path / "stager.gone.rst").write_text("it was here")
    write_python_api(tmp_path)
    pages = {page.stem for page in tmp_path.iterdir()}
    assert {"stager", "stager.engine", "flows", "tasks", "blocks", "workers"} <= pages
    assert "stager.gone" not in pages
    assert ".. automodule:: stager.engine.copy_file\n" in (tmp_path / "stager.engine.rst").read_text()


@pytest.mark.parametrize(
    "row",
    re.findall(r"^\| .*\*?\*?(?:met|missed|at the edge).*$", (DOCS / "reference/speed.md").read_text(), re.MULTILINE),
)
def test_every_figure_beside_an_aim_is_one_that_was_measured(row: str) -> None:
    measured = row.split("|")[4].replace("MiB", "").split(",")
    parts = "".join(part.read_text() for part in (DOCS / "reference" / "speed").glob("*.md"))
    assert [figure for figure in measured if f" {figure.strip()} " not in parts] == []

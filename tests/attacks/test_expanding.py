"""What Alice has expanded gives her no file, no name and no size of what is not hers."""

from __future__ import annotations

import itertools
import json
import subprocess
from typing import Any

import pytest

from tests.attacks.doors import request_of, written
from tests.attacks.site import Site
from tests.attacks.test_staging import AS_ALICE
from tests.attacks.tricks import READING
from tests.attacks.world import MARK, SHARED, TOLD

WAYS = (("directory", "{}"), ("glob", "{}/**"), ("glob", "{}*"), ("prefix", "{}"), ("prefix", "{}/"))


@pytest.mark.parametrize("area", ["source", "user"])
def test_what_is_expanded_gives_nothing_of_another(site: Site, area: str) -> None:
    site.world.shut("open")
    paths = [written(site, place.path) for place in READING.values() if place.area == area]
    items = [
        {"source": how.format(path), "destination": f"expanded-{area}/{number}", "expand": expand}
        for number, (path, (expand, how)) in enumerate(itertools.product(paths, WAYS))
    ]
    answer = site.answer("POST", "/requests", json={"method": "local_copy", "source_area": area, "items": items})
    assert answer.status == 202, answer.body
    became: list[dict[str, Any]] = site.ended(request_of(answer))["items"][len(items) :]

    assert became
    assert TOLD not in json.dumps(became)
    look = ["find", f"expanded-{area}", "-type", "f", "-readable", "-exec", "grep", "-l", MARK.decode(), "{}", "+"]
    found = subprocess.run([*AS_ALICE, *look], cwd=site.world.alice, capture_output=True, text=True, check=False)
    assert found.stdout == ""
    delivered = [path for path in (site.world.alice / f"expanded-{area}").rglob("*") if path.is_file()]
    assert {path.read_bytes() for path in delivered} == {SHARED}

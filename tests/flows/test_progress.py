"""What moves in Prefect's pages while a copy goes on."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.flows.conftest import Site

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("strace"), reason="needs root and strace"),
]
# Each file gets its times 1.5 s late, which is longer than between two looks at the counters.
SLOWLY = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=utimensat"]
SLOWLY += ["-e", "inject=utimensat:delay_exit=1500000"]


@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
def test_the_progress_in_prefect_moves_while_a_copy_goes_on(site: Site) -> None:
    request_id = site.request(*(("a.fits", f"{number}.fits") for number in range(10)))
    shown: list[float] = []

    def look() -> None:
        found = [artifact["data"] for artifact in site.artifacts(request_id) if artifact["type"] == "progress"]
        shown.extend(percentage for percentage in found if percentage not in shown)

    def has_moved() -> bool:
        look()
        return len([percentage for percentage in shown if 0 < percentage < 100]) > 1

    with site.running("local_copy", request_id, prefix=SLOWLY) as process:
        site.eventually(has_moved)
        assert process.poll() is None
        site.ended(process)
    look()
    assert shown == sorted(shown)
    assert shown[-1] == 100

"""Write what befalls pods into ``docs/reference/kubernetes-faults.md``, from a real run of its tests.

::

    python -m pytest tests/cluster/pool/test_faults.py --junitxml=faults.xml -o junit_family=xunit1
    python benchmarks/fault_table.py faults.xml...
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

PAGE = Path(__file__).parents[1] / "docs/reference/kubernetes-faults.md"
ABOVE = """# What befalls pods

Written by `python benchmarks/fault_table.py`, from runs of `tests/cluster/pool/test_faults.py` on a cluster of one
node with two cores that did nothing else. By which rule:
[the Kubernetes pool](../explanation/kubernetes-pool.md#what-befalls-pods).

The user sees the ending and, where it is not a success, the reason: in the answer, the record and Prefect. The seconds
are from the fault (of a pod that cannot begin: from the request) until the record is closed, the pod is gone and
nothing unfinished is left on the storage. What waits did so for `STAGER_PODS_START=20`, where 600 is the default; a run
was taken for dead after `STAGER_LEASE=15`, where 120 is.

"""
HEADER = ("fault", "the request ends", "what the record says", "seconds")
# Names that are made anew for each pod, and when something was seen last.
MADE_UP = (
    (re.compile(r" since .* UTC"), " since ..."),
    (re.compile(r"/var/lib/\S+/(\w+)"), r".../\1"),
)


def rows(report: Path) -> Iterator[tuple[str, ...]]:
    """Yield a row for each fault that the tests noted."""
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - our own report
        noted = {one.get("name"): one.get("value", "") for one in case.iter("property")}
        if "fault" in noted:
            befell = ast.literal_eval(noted["befell"])
            said = noted["reason"] if noted["status"] == "failed" else (befell or ["nothing more"])[-1]
            yield noted["fault"], noted["status"], _without_names(said), f"{float(noted['seconds']):.0f}"


def _without_names(said: str) -> str:
    for pattern, instead in MADE_UP:
        said = pattern.sub(instead, said)
    return said.replace("|", "/")


def main() -> None:
    """Write the page."""
    last = {row[0]: row for report in sys.argv[1:] for row in rows(Path(report))}  # of each fault
    table = (HEADER, ("---",) * len(HEADER), *last.values())
    PAGE.write_text(ABOVE + "".join(f"| {' | '.join(row)} |\n" for row in table))


if __name__ == "__main__":
    main()

"""Print the files that the image's programs import, one path a line: those that the image's build should compile."""

from __future__ import annotations

import importlib
import sys

PROGRAMS = (
    "flows.sweep",
    "granian.cli",
    "granian.server",
    "granian._loops",
    "stager.records.migrate",
    "stager.records.__main__",
    "stager.app",
    "stager.dispatch.__main__",
    "workers.preloaded",
    "workers.__main__",
    "workers.pods",
    "prefect.engine",
    "prefect.flow_engine",
    "prefect.cli.deploy",
    "prefect.cli.server",
    "prefect.cli.worker",
    "prefect.server.api.server",
    "prefect.workers.process",
    "prefect_kubernetes.worker",
    "prefect_kubernetes.observer",
    "deployments.register",
    "deployments.prefect_server.__main__",
    "deployments.local.when_ready",
)


def main() -> None:
    """Import every program, then print the files of all imported modules."""
    sys.path.insert(0, "")
    for program in PROGRAMS:
        importlib.import_module(program)
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    print(*sorted(file for file in files if file and file.endswith(".py")), sep="\n")


if __name__ == "__main__":
    main()

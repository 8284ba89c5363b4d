"""``python -m tests.soak --seconds 1800 --seed 7``: soak the service, print a table, fail where there is a fault."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from tests.soak.soak import soak
from tests.soak.table import table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="by default another")
    databases = {"mariadb": True, "sqlite": False}
    parser.add_argument("--logs", type=Path, help="folder that the logs are copied to")
    parser.add_argument("--database", choices=databases, help="by default MariaDB, where it is installed")
    options = parser.parse_args()
    with_mariadb = databases.get(options.database)
    report = soak(seconds=options.seconds, seed=options.seed, with_mariadb=with_mariadb, logs=options.logs)
    sys.stdout.write(table(report) + "\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())

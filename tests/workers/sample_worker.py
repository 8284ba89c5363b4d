"""The warm worker of the sample flows, as ``python -m workers`` is that of ours."""

from __future__ import annotations

from workers import WarmWorker

WarmWorker.package = "sample_flows"

if __name__ == "__main__":
    from workers.__main__ import main

    main()

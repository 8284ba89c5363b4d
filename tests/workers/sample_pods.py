"""The pool's worker of the sample flows, as ``python -m workers.pods`` is that of ours."""

from __future__ import annotations

from workers.pods import PodWorker, main

PodWorker.package = "sample_flows"

if __name__ == "__main__":
    main()

"""What differs from site to site: how the service's parts are started and registered."""

from stager.dispatch.pools import POD_POOL

__all__ = ["POD_POOL", "WORK_POOL"]

# The work pool of warm workers; prefect.yaml names it too.
WORK_POOL = "staging"

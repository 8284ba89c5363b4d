"""What differs from site to site: how the service's parts are started and registered."""

# Where flow runs wait for a worker; prefect.yaml names it too.
WORK_POOL = "staging"

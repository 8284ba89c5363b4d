"""What differs from site to site: how the service's parts are started and registered."""

# Where flow runs wait for a worker, and for a pod; prefect.yaml names them too.
WORK_POOL = "staging"
POD_POOL = "staging-kubernetes"

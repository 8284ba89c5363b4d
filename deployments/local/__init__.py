"""The whole service on one machine, for ``make up``: Prefect, a worker and the HTTP service under supervisor."""

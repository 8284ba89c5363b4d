"""Everything of the staging service that is not Prefect glue."""

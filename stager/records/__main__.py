"""Bring the records database up to date: ``python -m stager.records``."""

from stager.records.migrate import migrate
from stager.settings import get_settings

# How long a database that is still starting is waited for, in seconds.
DATABASE_START_SECONDS = 300.0

if __name__ == "__main__":
    migrate(get_settings().database_url.get_secret_value(), patience=DATABASE_START_SECONDS)

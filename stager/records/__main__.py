"""Bring the records database up to date: ``python -m stager.records``."""

from stager.records.schema import migrate
from stager.settings import get_settings

# How long a database that is only being started is waited for, in seconds.
PATIENCE = 300.0

if __name__ == "__main__":
    migrate(get_settings().database_url.get_secret_value(), patience=PATIENCE)

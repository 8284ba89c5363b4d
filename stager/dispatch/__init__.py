"""Hands requests to Prefect, takes up what died, and looks after pods."""

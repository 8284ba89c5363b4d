"""What an operator edits in Prefect's pages."""

"""The dispatcher: hands requests to Prefect, resubmits those whose run died, and looks after pods."""

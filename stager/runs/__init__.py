"""What a run does with its requests, without Prefect: batches, leases, heartbeat, the user's rights."""

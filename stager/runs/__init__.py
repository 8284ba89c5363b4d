"""What a run does with its requests, without Prefect: batches, leases held, heartbeat, the user's rights."""

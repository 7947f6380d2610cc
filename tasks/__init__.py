"""What is done: Prefect tasks as thin adapters over the rooms below."""

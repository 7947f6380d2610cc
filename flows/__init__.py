"""What runs: one file a flow, and the command."""

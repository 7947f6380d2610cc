"""Old runs: which of them may go, and their removal by MLflow's own means."""

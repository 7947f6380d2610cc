"""What MLflow's pages show of an experiment: descriptions and pictures."""

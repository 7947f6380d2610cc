"""The record in MLflow: typed records, the one writer, runs and their look-up, the served model."""

"""What the folds say together: means with intervals, pooled predictions, the ranking and the report."""

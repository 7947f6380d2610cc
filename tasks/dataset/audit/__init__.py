"""What is wrong or worth knowing about the data, before an hour is spent on it."""

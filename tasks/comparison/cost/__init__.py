"""What each backbone costs beside what it scores."""

"""Whether probabilities mean what they say, before and after scaling."""

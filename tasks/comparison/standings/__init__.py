"""How the backbones stand to each other: their figures, what can be told apart, and that in words and pictures."""

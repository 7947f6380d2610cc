"""From a file or an array to 8-bit RGB, and from there to the square that a network sees."""

"""Which model is better, and how sure that is: paired statistics over the same images, drawn and swapped by groups."""

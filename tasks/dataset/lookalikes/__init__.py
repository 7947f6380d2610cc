"""Pictures that look the same: hashes that outlast resizing and turning, and the search for near ones."""

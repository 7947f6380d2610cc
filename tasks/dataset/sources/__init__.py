"""Where images and labels come from: folders, tables, arrays and addresses, and what a folder looks like."""

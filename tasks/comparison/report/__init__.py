"""The page `report.html`, and the files of its tables and figures."""

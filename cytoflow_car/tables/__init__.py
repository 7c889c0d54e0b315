"""Tables of the results folder: rows from records, columns with their meaning, files."""

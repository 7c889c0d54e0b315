"""The study folder: sheet, infusions, moved gates; plan, run and results."""

"""Calibration with beads: from the events of a bead file to molecules."""

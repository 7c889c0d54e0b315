"""Quality of the acquisition: events are marked, never deleted."""

"""From events as acquired to events with markers, compensated, with scales."""

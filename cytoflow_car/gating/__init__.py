"""Gates: where they are placed, and who lies inside."""

"""Frozen records that every floor above shares; they hold facts and change nothing."""

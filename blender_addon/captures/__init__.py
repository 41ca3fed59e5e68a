"""Captures in and out, where they stand, and how good they are."""

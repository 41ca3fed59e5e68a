"""Objaverse to weights: every stage a command. Nothing imports this package."""

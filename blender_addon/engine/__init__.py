"""The engine's process, how its Python is set up, and what it is asked by: jobs that a window follows, models."""

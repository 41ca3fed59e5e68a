"""Scores of models on photos that they never saw, beside the trivial answers: python -m training.evaluate."""

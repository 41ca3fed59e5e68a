"""A training run: python -m training.train."""

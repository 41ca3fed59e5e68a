"""From a run to a model's file with its card: python -m training.export."""

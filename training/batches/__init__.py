"""What a training step sees: scenes drawn with odds, varied, framed, as images and rays."""

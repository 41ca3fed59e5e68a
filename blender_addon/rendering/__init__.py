"""The ways to a picture: the button, F12, the Rendered viewport; the passes."""

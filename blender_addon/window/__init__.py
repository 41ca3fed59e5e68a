"""What is seen and clicked: panels, lists, thumbnails, overlays, keys."""

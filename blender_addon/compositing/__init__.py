"""Blender's own objects and pictures together: before the photos, as photos, frame after frame."""

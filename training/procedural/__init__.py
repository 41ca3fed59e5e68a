"""Textured scenes that are drawn at random and ray cast in torch, on whatever device the generator lives on."""

from .scenes import procedural_scene

__all__ = ["procedural_scene"]

"""Textured scenes that are drawn at random and rendered in torch, on whatever device trains."""

from .scenes import KINDS, ProceduralViews, procedural_scene
from .textures import ImageFolder, TextureError

__all__ = ["KINDS", "ImageFolder", "ProceduralViews", "TextureError", "procedural_scene"]

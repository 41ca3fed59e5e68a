"""Posed views of 3D objects, rendered by Blender's bpy module in processes of their own."""

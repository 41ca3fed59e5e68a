"""What is where: cameras, views, the scene frame, captures on disk.

numpy and the standard library only, so that Blender's own Python can import it.
"""

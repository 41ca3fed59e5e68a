"""LVSM as a library: photos with cameras in, images of other cameras out.

Knows nothing of Blender. Importing this package loads neither torch nor bpy.
"""

__version__ = "0.1.0"

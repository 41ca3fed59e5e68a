"""Depth and colours of a view from the photos around it, by planes swept through the scene (Collins 1996).

reprojection.py says where photos see a point; planes.py which depths are tried; photo_depth.py finds the depth maps of the
photos themselves (depth_maps.py), once; sweep.py the depth of any target, by these; filling.py mends it. blend.py weighs the
colours that photos show there, and texture.py takes what is fine of one photo at a time.

Letters in shapes: B targets, V photos of each, C channels, D planes, H and W pixels of the target, h and w of the photos.
"""

"""The network: photos and rays in, images out. torch only; knows nothing of files, devices or Blender."""

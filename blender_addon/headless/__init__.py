"""What the batch needs that no window has: its command line, names of files, EXR."""

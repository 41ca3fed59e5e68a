"""`make demo`: the whole way, from a sample capture to pictures, a .blend and a video, through the add-on's own operators."""

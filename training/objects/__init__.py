"""Objects to train on, from Objaverse or a folder: chosen, fetched, verified, listed, credited."""

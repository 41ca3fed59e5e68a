"""Posed views as they are stored, in files, shards and captures, or drawn: one scene at a time, at one size."""

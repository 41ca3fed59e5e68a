"""Shards: the posed views of many objects in a few files, each object one record, any of them read at once.

A shard is an ArrayRecord file and, beside it, its index: 00000.array_record and 00000.json. A record is one safetensors
buffer: record.py. Each shard is whole by itself: two folders are joined by moving files under free numbers.
"""

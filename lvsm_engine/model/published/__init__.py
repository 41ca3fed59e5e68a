"""The published model families, a module each: what they call their tensors, what names and shapes tell, and their cards.

Each has published_name, infer_config and card_of. They know no disk.
"""

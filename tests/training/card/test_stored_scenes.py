"""What is measured on stored scenes."""

from training.card.stored_scenes import with_stored_scenes
from training.configs import Source, changed


def test_procedural_sources_are_left_out_where_others_are(config):
    drawn = Source(folder="procedural:mixed")
    stored = config.data.sources
    assert with_stored_scenes(changed(config, sources=(*stored, drawn))).data.sources == stored
    assert with_stored_scenes(changed(config, sources=(drawn,))).data.sources == (drawn,)

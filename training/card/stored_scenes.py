"""The sources of a run that are read and not drawn: what is told or measured of them comes at once."""

from dataclasses import replace

from ..configs import TrainingConfig
from ..views.sources import is_procedural


def with_stored_scenes(config: TrainingConfig) -> TrainingConfig:
    """The run's, on its stored scenes alone, where it has any."""
    stored = tuple(source for source in config.data.sources if not is_procedural(source.folder))
    return replace(config, data=replace(config.data, sources=stored or config.data.sources))

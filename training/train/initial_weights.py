"""The weights that a run starts from: those of a model's file of the same shape."""

from lvsm_engine.model.checkpoint import Model, build_model, load_checkpoint

from ..configs import TrainingConfig
from .state import RunStateError

# Tokens may lie closer or further apart than those that the weights learned on: no tensor tells of it.
FREE_OPTIONS = ("input_stride", "target_stride")


def load_initial(config: TrainingConfig) -> Model:
    """The model of the configuration's `init` file. Raises CheckpointError, and RunStateError for one of another shape."""
    assert config.init is not None
    stored, _ = load_checkpoint(config.init)
    for name in config.model.__dataclass_fields__:
        have, want = getattr(stored.config, name), getattr(config.model, name)
        if have != want and name not in FREE_OPTIONS:
            raise RunStateError(
                f"{config.init}: its model has {name} {have}, and the run's has {want}. Give --model.{name.replace('_', '-')}"
                f" {have}, or another --init."
            )
    model = build_model(config.model)
    model.load_state_dict(stored.state_dict())
    return model.train()

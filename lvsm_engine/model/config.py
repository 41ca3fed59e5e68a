"""ModelConfig: all that decides a network's shape, and nothing else; and the sizes of its pictures. No torch."""

import math
from dataclasses import dataclass

# Sides of pictures are multiples of it whatever the strides, as the published models' are.
SIZE_MULTIPLE = 8
ARCHITECTURES = ("decoder_only", "encoder_decoder", "fast_weights")
CAMERA_ENCODINGS = ("none", "prope", "proxy_point")
# The least and the most of each number. The most is far above any model, and low enough that a damaged file cannot
# make a network of endless size.
LIMITS = {
    "width": (1, 2**16),
    "head_width": (1, 2**16),
    "patch_size": (1, 2**10),
    "input_stride": (1, 2**10),
    "target_stride": (1, 2**10),
    "blocks": (1, 2**10),
    "encoder_blocks": (0, 2**10),
    "latents": (0, 2**20),
    "mlp_ratio": (1, 2**6),
    "fast_head_width": (0, 2**16),
    "fast_hidden": (0, 2**16),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The shape of a Large View Synthesis Model (arXiv 2410.17242, section 3), or of LaCT (arXiv 2505.23884).

    Raises ValueError for a combination that is no model.
    """

    architecture: str = "decoder_only"
    """decoder_only; encoder_decoder with latents between photos and targets; or fast_weights, which the photos teach (LaCT)."""
    width: int = 768
    """Size D of a token."""
    head_width: int = 64
    """Size of an attention head; the width is a multiple of it."""
    patch_size: int = 8
    """Side of the square of pixels that a token reads or writes."""
    input_stride: int = 8
    """Pixels from one token of an input to the next; less than the patch size: patches overlap (published: equal)."""
    target_stride: int = 8
    """The same of a target; its pixels are made of all tokens that reach them, so that no grid shows."""
    blocks: int = 24
    """Transformer blocks; of the decoder, where there is an encoder."""
    encoder_blocks: int = 0
    """Transformer blocks of the encoder (encoder_decoder only)."""
    latents: int = 0
    """Learned tokens that hold the scene (encoder_decoder only)."""
    mlp_ratio: int = 4
    """Hidden size of a block's MLP, in widths."""
    fast_head_width: int = 0
    """Size of a head of the fast weights; the width is a multiple of it (fast_weights only; published: the width)."""
    fast_hidden: int = 0
    """Hidden size of each of these heads' networks (fast_weights only; published: 2 or 4 widths)."""
    qk_norm: bool = True
    """RMS norm on queries and keys, as in the published models."""
    inputs_first: bool = False
    """Mask: inputs see inputs; a target sees inputs and itself. The inputs' keys and values then serve every target."""
    camera_encoding: str = "none"
    """How attention knows where two tokens stand to each other: none (published), prope (arXiv 2507.10496), proxy_point."""
    predicted_depth: bool = False
    """Each block moves its tokens' proxy points along their rays (proxy_point only)."""
    rotate_values: bool = False
    """Proxy points rotate values and outputs too, so that a token knows where from its own point lies what it saw (proxy_point
    only; prope always does)."""
    rays_in_tokens: bool = True
    """Tokens hold their Pluecker rays (published). Without, the camera encoding alone tells where a token looks."""

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"architecture is '{self.architecture}': it must be one of {', '.join(ARCHITECTURES)}.")
        if self.camera_encoding not in CAMERA_ENCODINGS:
            raise ValueError(
                f"camera_encoding is '{self.camera_encoding}': it must be one of {', '.join(CAMERA_ENCODINGS)}."
            )
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"{name} is {value!r}: it must be a whole number from {least} to {most}.")
        for name in ("qk_norm", "inputs_first", "predicted_depth", "rotate_values", "rays_in_tokens"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} is {getattr(self, name)!r}: it must be true or false.")
        if self.width % self.head_width:
            raise ValueError(f"width {self.width} must be a multiple of head_width {self.head_width}.")
        has_encoder = self.architecture == "encoder_decoder"
        if has_encoder != (self.encoder_blocks > 0) or has_encoder != (self.latents > 0):
            raise ValueError(
                f"{self.architecture} with {self.encoder_blocks} encoder blocks and {self.latents} latents."
            )
        self._check_fast_weights()
        if self.architecture != "decoder_only" and (self.inputs_first or self.camera_encoding != "none"):
            raise ValueError(
                "inputs_first and camera_encoding are options of decoder_only: latents and fast weights have no camera."
            )
        if self.camera_encoding != "none" and self.head_width != 64:
            raise ValueError(f"camera_encoding {self.camera_encoding} needs head_width 64, not {self.head_width}.")
        for name in ("predicted_depth", "rotate_values"):
            if getattr(self, name) and self.camera_encoding != "proxy_point":
                raise ValueError(f"{name} needs camera_encoding proxy_point.")
        for name in ("input_stride", "target_stride"):
            stride = getattr(self, name)
            if stride > self.patch_size or (self.patch_size - stride) % 2:
                raise ValueError(
                    f"{name} is {stride}: it must be at most the patch size {self.patch_size}, and an even number below it,"
                    " so that a patch reaches as far to both sides."
                )
        if self.input_stride != self.target_stride and self.camera_encoding != "none" and not self.inputs_first:
            raise ValueError(
                "another input_stride than target_stride with a camera_encoding needs inputs_first: inputs' and targets'"
                " tokens differ."
            )
        if not self.rays_in_tokens and self.camera_encoding == "none":
            raise ValueError(
                "without rays_in_tokens a camera_encoding is needed: nothing else tells where cameras are."
            )

    def _check_fast_weights(self) -> None:
        has_fast_weights = self.architecture == "fast_weights"
        if has_fast_weights != (self.fast_head_width > 0) or has_fast_weights != (self.fast_hidden > 0):
            raise ValueError(
                f"{self.architecture} with fast_head_width {self.fast_head_width} and fast_hidden {self.fast_hidden}."
            )
        if has_fast_weights and self.width % self.fast_head_width:
            raise ValueError(f"width {self.width} must be a multiple of fast_head_width {self.fast_head_width}.")

    @property
    def rays_have_origins(self) -> bool:
        """Whether pixels are told where their rays begin, too: such a model depends on where the world's origin is."""
        return self.architecture == "fast_weights"

    @property
    def size_multiple(self) -> int:
        """Pictures that a model takes and gives have sides of whole multiples of this many pixels."""
        return math.lcm(SIZE_MULTIPLE, self.input_stride, self.target_stride)

    @property
    def heads(self) -> int:
        """Attention heads of a block."""
        return self.width // self.head_width

    @property
    def fast_heads(self) -> int:
        """Networks of fast weights in a block."""
        return self.width // self.fast_head_width if self.fast_head_width else 0


def model_size(resolution: int, multiple: int, aspect: float) -> tuple[int, int]:
    """(width, height): multiples of `multiple`, about resolution x resolution pixels, width / height near the aspect."""
    steps = resolution / multiple
    across = max(1, round(steps * math.sqrt(aspect)))
    down = max(1, round(steps / math.sqrt(aspect)))
    return across * multiple, down * multiple

"""ModelConfig: all that decides a network's shape, and nothing else."""

from dataclasses import dataclass

ARCHITECTURES = ("decoder_only", "encoder_decoder")
CAMERA_ENCODINGS = ("none", "prope", "proxy_point")
# The least and the most of each number. The most is far above any model, and low enough that a damaged file cannot
# make a network of endless size.
LIMITS = {
    "width": (1, 2**16),
    "head_width": (1, 2**16),
    "patch_size": (1, 2**10),
    "patch_overlap": (0, 2**10),
    "input_density": (1, 2**4),
    "target_density": (1, 2**4),
    "blocks": (1, 2**10),
    "encoder_blocks": (0, 2**10),
    "latents": (0, 2**20),
    "mlp_ratio": (1, 2**6),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The shape of a Large View Synthesis Model (arXiv 2410.17242, section 3).

    Raises ValueError for a combination that is no model.
    """

    architecture: str = "decoder_only"
    """decoder_only, or encoder_decoder with latents between photos and targets."""
    width: int = 768
    """Size D of a token."""
    head_width: int = 64
    """Size of an attention head; the width is a multiple of it."""
    patch_size: int = 8
    """Side of the square of pixels that is one token."""
    patch_overlap: int = 0
    """Tokens also read and write so many pixels of their neighbours on each side, so that no grid shows (published: 0)."""
    input_density: int = 1
    """Tokens of an input for each patch of its side: 2 makes four times as many, each half a patch from the next."""
    target_density: int = 1
    """The same of a target; its pixels are made of all tokens that reach them."""
    blocks: int = 24
    """Transformer blocks; of the decoder, where there is an encoder."""
    encoder_blocks: int = 0
    """Transformer blocks of the encoder (encoder_decoder only)."""
    latents: int = 0
    """Learned tokens that hold the scene (encoder_decoder only)."""
    mlp_ratio: int = 4
    """Hidden size of a block's MLP, in widths."""
    qk_norm: bool = True
    """RMS norm on queries and keys, as in the published models."""
    inputs_first: bool = False
    """Mask: inputs see inputs; a target sees inputs and itself. The inputs' keys and values then serve every target."""
    camera_encoding: str = "none"
    """How attention knows where two tokens stand to each other: none (published), prope (arXiv 2507.10496), proxy_point."""
    predicted_depth: bool = False
    """Each block moves its tokens' proxy points along their rays (proxy_point only)."""
    turned_values: bool = False
    """Proxy points turn values and outputs too, so that a token knows where from its own point lies what it saw (proxy_point
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
        for name in ("qk_norm", "inputs_first", "predicted_depth", "turned_values"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} is {getattr(self, name)!r}: it must be true or false.")
        if self.width % self.head_width:
            raise ValueError(f"width {self.width} must be a multiple of head_width {self.head_width}.")
        has_encoder = self.architecture == "encoder_decoder"
        if has_encoder != (self.encoder_blocks > 0) or has_encoder != (self.latents > 0):
            raise ValueError(
                f"{self.architecture} with {self.encoder_blocks} encoder blocks and {self.latents} latents."
            )
        if has_encoder and (self.inputs_first or self.camera_encoding != "none"):
            raise ValueError("inputs_first and camera_encoding are options of decoder_only: latents have no camera.")
        if self.camera_encoding != "none" and self.head_width != 64:
            raise ValueError(f"camera_encoding {self.camera_encoding} needs head_width 64, not {self.head_width}.")
        for name in ("predicted_depth", "turned_values"):
            if getattr(self, name) and self.camera_encoding != "proxy_point":
                raise ValueError(f"{name} needs camera_encoding proxy_point.")
        for side, stride in {"input": self.input_stride, "target": self.target_stride}.items():
            density = getattr(self, f"{side}_density")
            if self.patch_size % density or (self.patch_size - stride) % 2:
                raise ValueError(
                    f"patch_size {self.patch_size} with {side}_density {density}: the pixels from one {side} token to"
                    " the next must be whole, and as many on both sides of a patch."
                )
        if self.input_density != self.target_density and self.camera_encoding != "none" and not self.inputs_first:
            raise ValueError(
                "another input_density than target_density with a camera_encoding needs inputs_first: inputs' and"
                " targets' tokens differ."
            )
        if not self.rays_in_tokens and self.camera_encoding == "none":
            raise ValueError(
                "without rays_in_tokens a camera_encoding is needed: nothing else tells where cameras are."
            )

    @property
    def input_stride(self) -> int:
        """Pixels from one token of an input to the next."""
        return self.patch_size // self.input_density

    @property
    def target_stride(self) -> int:
        """Pixels from one token of a target to the next."""
        return self.patch_size // self.target_density

    @property
    def heads(self) -> int:
        """Attention heads of a block."""
        return self.width // self.head_width

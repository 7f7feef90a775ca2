"""What describes a latent diffusion model's networks, read from the publisher's JSON.

The fields have the names of the files `unet/config.json` and `vae/config.json` of a published
folder. Those files hold many more, for networks that are not these; each is known here with the one
value under which it changes nothing, and any other value, or name, is an error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from jaxedit.errors import UserError
from jaxedit.host.names import did_you_mean

ATTENTION = {"CrossAttnDownBlock2D", "CrossAttnUpBlock2D"}
_NOTES = ("_class_name", "_diffusers_version", "_name_or_path", "_commit_hash", "sample_size",
          "_use_default_values", "dropout", "attention_type")
# What the published UNet can be beyond ours, and the values that mean ours.
_UNET_FIXED: dict[str, tuple[Any, ...]] = {
    "act_fn": ("silu", "swish"),
    "mid_block_type": ("UNetMidBlock2DCrossAttn",),
    "only_cross_attention": (False,),
    "mid_block_only_cross_attention": (None, False),
    "dual_cross_attention": (False,),
    "resnet_time_scale_shift": ("default",),
    "resnet_skip_time_act": (False,),
    "resnet_out_scale_factor": (1, None),
    "time_embedding_type": ("positional",),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "class_embeddings_concat": (False,),
    "upcast_attention": (False, True, None),  # ours always has its softmax in float32
    "addition_embed_type_num_heads": (64,),
    **dict.fromkeys((
        "reverse_transformer_layers_per_block", "encoder_hid_dim", "encoder_hid_dim_type",
        "num_attention_heads", "class_embed_type", "addition_embed_type",
        "addition_time_embed_dim", "num_class_embeds", "time_embedding_dim",
        "time_embedding_act_fn", "timestep_post_act", "time_cond_proj_dim",
        "projection_class_embeddings_input_dim", "cross_attention_norm",
    ), (None,)),
}
_VAE_FIXED: dict[str, tuple[Any, ...]] = {
    "act_fn": ("silu", "swish"),
    "force_upcast": (True, False),  # the user's choice of `dtype`
    "latents_mean": (None,),
    "latents_std": (None,),
}


@dataclasses.dataclass(frozen=True)
class UNetConfig:
    """A UNet with cross-attention; the defaults are Stable Diffusion 1.x's.

    Attributes:
      in_channels, out_channels: of the latents.
      block_out_channels: channels of each level, the finest first.
      down_block_types: of each level, "CrossAttnDownBlock2D" or "DownBlock2D".
      up_block_types: of each level on the way up, the coarsest first, "UpBlock2D" or
        "CrossAttnUpBlock2D".
      layers_per_block: resnets of each level on the way down (the way up has one more).
      transformer_layers_per_block: transformer blocks behind each resnet, by level.
      attention_head_dim: the NUMBER of heads of each level, whatever its name says.
      cross_attention_dim: width of the text states.
      use_linear_projection: projections around the transformer are linear layers on tokens, not
        convolutions of 1 x 1.
      norm_num_groups, norm_eps: of the group norms of resnets and output.
      downsample_padding: 1 pads all sides, 0 the right and the bottom alone.
      flip_sin_to_cos: the cosines stand first in the embedding of the time step.
      freq_shift: subtracted from the count of frequencies that the exponent is divided by.
      mid_block_scale_factor: the resnets in the middle are divided by it.
      center_input_sample: the input is taken from [0, 1] to [-1, 1].
    """

    in_channels: int = 4
    out_channels: int = 4
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    down_block_types: tuple[str, ...] = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
    up_block_types: tuple[str, ...] = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
    layers_per_block: tuple[int, ...] = (2, 2, 2, 2)
    transformer_layers_per_block: tuple[int, ...] = (1, 1, 1, 1)
    attention_head_dim: tuple[int, ...] = (8, 8, 8, 8)
    cross_attention_dim: int = 768
    use_linear_projection: bool = False
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    downsample_padding: int = 1
    flip_sin_to_cos: bool = True
    freq_shift: int = 0
    mid_block_scale_factor: float = 1.0
    center_input_sample: bool = False

    def __post_init__(self):
        _spread(self, ("layers_per_block", "transformer_layers_per_block", "attention_head_dim"))
        levels = len(self.block_out_channels)
        for field, kinds in (("down_block_types", ("CrossAttnDownBlock2D", "DownBlock2D")),
                             ("up_block_types", ("CrossAttnUpBlock2D", "UpBlock2D"))):
            found = getattr(self, field)
            if len(found) != levels or not set(found) <= set(kinds):
                raise UserError(f"{field} is {list(found)}; this UNet has {levels} levels, each of "
                                f"{' or '.join(kinds)}.")
        _check_groups(self.block_out_channels, self.norm_num_groups)
        if self.downsample_padding not in (0, 1):
            raise UserError(f"downsample_padding is {self.downsample_padding}; it must be 0 or 1.")

    @classmethod
    def from_published(cls, published: Mapping[str, Any], where: str = "config.json") -> UNetConfig:
        """Returns what a published `unet/config.json` describes.

        Raises:
          UserError: it describes a network that this is not; the message names the field.
        """
        return _read(cls, published, _UNET_FIXED, where)


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig:
    """An autoencoder of pictures; the defaults are Stable Diffusion 1.x's.

    Attributes:
      in_channels, out_channels: of the pictures.
      latent_channels: of the latents.
      block_out_channels: channels of each level, the finest first; all but the last halve the size.
      down_block_types, up_block_types: "DownEncoderBlock2D" and "UpDecoderBlock2D" of each level.
      layers_per_block: resnets of each level of the encoder (the decoder has one more).
      norm_num_groups: of all group norms.
      scaling_factor: what latents are multiplied by before the diffusion model sees them.
      shift_factor: what is taken from them before.
      use_quant_conv, use_post_quant_conv: whether there is a 1 x 1 convolution around the latents.
      mid_block_add_attention: whether there is attention in the middle.
    """

    in_channels: int = 3
    out_channels: int = 3
    latent_channels: int = 4
    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",) * 4
    up_block_types: tuple[str, ...] = ("UpDecoderBlock2D",) * 4
    layers_per_block: int = 2
    norm_num_groups: int = 32
    scaling_factor: float = 0.18215
    shift_factor: float = 0.0
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True
    mid_block_add_attention: bool = True

    def __post_init__(self):
        levels = len(self.block_out_channels)
        for field, kind in (("down_block_types", "DownEncoderBlock2D"),
                            ("up_block_types", "UpDecoderBlock2D")):
            if tuple(getattr(self, field)) != (kind,) * levels:
                raise UserError(f"{field} is {list(getattr(self, field))}; this autoencoder has "
                                f"{levels} levels of {kind}.")
        _check_groups(self.block_out_channels, self.norm_num_groups)

    @property
    def factor(self) -> int:
        """How many times smaller than the picture the latents are, along each side."""
        return 2 ** (len(self.block_out_channels) - 1)

    @classmethod
    def from_published(
        cls, published: Mapping[str, Any], where: str = "config.json"
    ) -> AutoencoderConfig:
        """Returns what a published `vae/config.json` describes.

        Raises:
          UserError: it describes a network that this is not; the message names the field.
        """
        published = {k: v for k, v in published.items() if k != "shift_factor" or v is not None}
        return _read(cls, published, _VAE_FIXED, where)


def _read(cls, published: Mapping[str, Any], fixed: Mapping[str, tuple[Any, ...]], where: str):
    """Returns the configuration of kind `cls`, every key of `published` accounted for."""
    fields = {field.name for field in dataclasses.fields(cls)}
    chosen = {}
    for key, value in published.items():
        if key in fields:
            chosen[key] = tuple(value) if isinstance(value, list) else value
        elif key in fixed:
            if value not in fixed[key]:
                shown = " or ".join(map(repr, fixed[key]))
                raise UserError(f"{where}: {key} is {value!r}; these networks have {shown} alone.")
        elif key not in _NOTES:
            raise UserError(f"{where}: {key!r} is not known of these networks."
                            + did_you_mean(key, fields | set(fixed)))
    if "block_out_channels" in chosen and cls is UNetConfig:
        # A published file may give one number for all levels, and leaves out what is the default
        # of the library, which has four levels.
        for key, standard in (("layers_per_block", 2), ("transformer_layers_per_block", 1),
                              ("attention_head_dim", 8)):
            chosen.setdefault(key, standard)
    try:
        return cls(**chosen)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: does not describe these networks ({error}).") from error
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _spread(config: Any, fields: Sequence[str]) -> None:
    """Turns one number for all levels into a tuple, and checks the length of tuples."""
    levels = len(config.block_out_channels)
    for field in fields:
        value = getattr(config, field)
        if isinstance(value, int):
            object.__setattr__(config, field, (value,) * levels)
        elif len(value) != levels or not all(isinstance(one, int) for one in value):
            raise UserError(f"{field} is {value!r}; it must be one whole number, or one for each "
                            f"of the {levels} levels.")


def _check_groups(channels: Sequence[int], groups: int) -> None:
    for count in channels:
        if count % groups:
            raise UserError(f"block_out_channels has {count}, which norm_num_groups={groups} does "
                            "not divide.")

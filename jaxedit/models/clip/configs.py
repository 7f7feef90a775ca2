"""What describes CLIP's towers, read from the publisher's JSON (Radford et al., 2021).

The fields have the names of the published `config.json`, which holds many more that change nothing
in the networks; those are passed over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxedit.errors import UserError
from jaxedit.host.names import check_choice

ACTIVATIONS = ("quick_gelu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish")
_FIRST_END = 2  # what the first published files give as the end of a text, whatever ends it


@dataclasses.dataclass(frozen=True)
class Tower:
    """What both towers have.

    Attributes:
      hidden_size: width of the states.
      intermediate_size: width inside of the feed-forward layers.
      num_hidden_layers: how many layers.
      num_attention_heads: of each.
      hidden_act: one of `ACTIVATIONS`; "quick_gelu" is x sigmoid(1.702 x), "gelu" the exact one.
      layer_norm_eps: of all layer norms.
    """

    hidden_size: int = 512
    intermediate_size: int = 2048
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5

    def __post_init__(self):
        check_choice("hidden_act", self.hidden_act, ACTIVATIONS)
        if self.hidden_size % self.num_attention_heads:
            raise UserError(f"hidden_size={self.hidden_size}: num_attention_heads="
                            f"{self.num_attention_heads} does not divide it.")


@dataclasses.dataclass(frozen=True)
class TextConfig(Tower):
    """The text tower; the defaults are those of the publisher's library, B/32's.

    Attributes:
      vocab_size: how many tokens there are.
      max_position_embeddings: the longest text, in tokens.
      eos_token_id: the token at the end of a text; 2 stands for the largest of the text's tokens.
    """

    vocab_size: int = 49408
    max_position_embeddings: int = 77
    eos_token_id: int = 49407

    @property
    def ends_at_largest(self) -> bool:
        """Whether a text ends at its largest token, as in the first published files."""
        return self.eos_token_id == _FIRST_END


@dataclasses.dataclass(frozen=True)
class VisionConfig(Tower):
    """The vision tower; the defaults are those of the publisher's library, B/32's.

    Attributes:
      num_channels: of the pictures.
      image_size: side of the pictures that the position embeddings are for.
      patch_size: side of a patch; what does not fill one is left out.
    """

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_attention_heads: int = 12
    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 32

    @property
    def grid(self) -> int:
        """Patches along a side of a picture of `image_size`."""
        return self.image_size // self.patch_size


@dataclasses.dataclass(frozen=True)
class CLIPConfig:
    """Both towers, or one; the defaults are B/32.

    Attributes:
      text, vision: of each tower; None where there is none.
      projection_dim: width of the space of both; None: the states are not projected.
      logit_scale_init_value: the logarithm that cosines are scaled by at first.
    """

    text: TextConfig | None = TextConfig()
    vision: VisionConfig | None = VisionConfig()
    projection_dim: int | None = 512
    logit_scale_init_value: float = 2.6592

    def __post_init__(self):
        if self.text is None and self.vision is None:
            raise UserError("A CLIP of neither tower: give a text or a vision configuration.")

    @classmethod
    def from_published(
        cls, published: Mapping[str, Any], where: str = "config.json"
    ) -> CLIPConfig:
        """Returns what a published `config.json` describes: both towers, or one of them.

        Raises:
          UserError: it describes another network; the message names the field.
        """
        kind = published.get("model_type", "")
        projected = any("WithProjection" in name for name in published.get("architectures") or ())
        both = {key.split("_")[0] for key in published if key.startswith(("text_", "vision_"))}
        try:
            if kind == "clip" or both >= {"text", "vision"}:
                return cls(
                    _tower(TextConfig, published, "text"),
                    _tower(VisionConfig, published, "vision"),
                    published.get("projection_dim", 512),
                    published.get("logit_scale_init_value", 2.6592),
                )
            width = published.get("projection_dim", 512) if projected else None
            if kind == "clip_text_model" or (not kind and "vocab_size" in published):
                return cls(_chosen(TextConfig, published), None, width)
            if kind == "clip_vision_model" or (not kind and "patch_size" in published):
                return cls(None, _chosen(VisionConfig, published), width)
        except (TypeError, ValueError, ZeroDivisionError) as error:
            raise UserError(f"{where}: does not describe a CLIP ({error}).") from error
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        raise UserError(f"{where}: describes {kind or 'no network that is known'}; a CLIP has "
                        "model_type clip, clip_text_model or clip_vision_model.")

    def to_published(self) -> dict[str, Any]:
        """Returns the description for the publisher's library."""
        only = self.text or self.vision
        if self.text is not None and self.vision is not None:
            return {
                "model_type": "clip", "architectures": ["CLIPModel"],
                "text_config": dataclasses.asdict(self.text) | {"model_type": "clip_text_model"},
                "vision_config": dataclasses.asdict(self.vision)
                | {"model_type": "clip_vision_model"},
                "projection_dim": self.projection_dim,
                "logit_scale_init_value": self.logit_scale_init_value,
            }
        side = "Text" if self.vision is None else "Vision"
        ending = "" if self.projection_dim is None else "WithProjection"
        width = {} if self.projection_dim is None else {"projection_dim": self.projection_dim}
        return {"model_type": f"clip_{side.lower()}_model",
                "architectures": [f"CLIP{side}Model{ending}"], **dataclasses.asdict(only), **width}


@dataclasses.dataclass(frozen=True)
class CLIPSegConfig:
    """CLIPSeg: CLIP's towers and a decoder; the defaults are rd64-refined's, on CLIP B/16.

    Attributes:
      clip: the towers.
      extract_layers: the layers of the vision tower, from 0, whose results the decoder reads.
      reduce_dim: width of the decoder.
      decoder_num_attention_heads, decoder_intermediate_size: of its layers.
      conditional_layer: ahead of which of its layers, from 0, the text comes in.
      use_complex_transposed_convolution: a 3 x 3 convolution and two transposed ones make the map,
        not one transposed one.
    """

    clip: CLIPConfig = CLIPConfig(vision=VisionConfig(patch_size=16))
    extract_layers: tuple[int, ...] = (3, 6, 9)
    reduce_dim: int = 64
    decoder_num_attention_heads: int = 4
    decoder_intermediate_size: int = 2048
    conditional_layer: int = 0
    use_complex_transposed_convolution: bool = True

    def __post_init__(self):
        layers, taps = self.clip.vision.num_hidden_layers, self.extract_layers
        if not taps or not all(isinstance(tap, int) and 0 <= tap < layers for tap in taps):
            raise UserError(f"extract_layers={list(taps)}: each must be a layer of the vision "
                            f"tower, 0 to {layers - 1}.")
        if self.reduce_dim % self.decoder_num_attention_heads:
            raise UserError(f"reduce_dim={self.reduce_dim}: decoder_num_attention_heads="
                            f"{self.decoder_num_attention_heads} does not divide it.")
        if self.use_complex_transposed_convolution and self.clip.vision.patch_size % 4:
            raise UserError(f"patch_size={self.clip.vision.patch_size}: the decoder's transposed "
                            "convolutions need a multiple of 4.")

    @classmethod
    def from_published(
        cls, published: Mapping[str, Any], where: str = "config.json"
    ) -> CLIPSegConfig:
        """Returns what a published `config.json` describes.

        Raises:
          UserError: it describes another network; the message names the field.
        """
        if published.get("model_type", "clipseg") != "clipseg":
            raise UserError(f"{where}: describes {published['model_type']}; a CLIPSeg has "
                            "model_type clipseg.")
        try:
            fields = {field.name for field in dataclasses.fields(cls)} - {"clip"}
            chosen = {key: tuple(value) if isinstance(value, list) else value
                      for key, value in published.items() if key in fields}
            chosen.setdefault("use_complex_transposed_convolution", False)  # the library's default
            towers = CLIPConfig(
                _tower(TextConfig, published, "text"),
                _tower(VisionConfig, published, "vision"),
                published.get("projection_dim", 512),
                published.get("logit_scale_init_value", 2.6592),
            )
            return cls(towers, **chosen)
        except (TypeError, ValueError, ZeroDivisionError) as error:
            raise UserError(f"{where}: does not describe a CLIPSeg ({error}).") from error
        except UserError as error:
            raise UserError(f"{where}: {error}") from None

    def to_published(self) -> dict[str, Any]:
        """Returns the description for the publisher's library."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)
               if field.name != "clip"}
        towers = self.clip.to_published()
        for side in ("text", "vision"):
            towers[f"{side}_config"]["model_type"] = f"clipseg_{side}_model"
        return towers | own | {
            "model_type": "clipseg", "architectures": ["CLIPSegForImageSegmentation"],
        }


def _tower(cls, published: Mapping[str, Any], side: str):
    """Returns a tower's configuration; `<side>_config_dict` of old files goes before."""
    own = published.get(f"{side}_config_dict")
    own = published.get(f"{side}_config") if own is None else own
    # CLIPSeg's vision tower has other defaults than CLIP's: patches of 32 there as here.
    return _chosen(cls, own or {})


def _chosen(cls, published: Mapping[str, Any]):
    fields = {field.name for field in dataclasses.fields(cls)}
    return cls(**{key: value for key, value in published.items() if key in fields})


L14 = CLIPConfig(
    TextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12),
    VisionConfig(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24,
                 num_attention_heads=16, patch_size=14),
    768,
)
B32 = CLIPConfig()

"""Training of CLIP's towers from nothing: pictures and captions into one space.

Radford et al. (2021), section 2.3: of a batch of pairs each picture is to find its caption and each
caption its picture, by the cross-entropy of scaled cosines in both directions; the scale is learned
and at most 100. Part `towers`; the words are those of a small vocabulary (`vocabulary.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from jaxedit.evaluation import Evaluation
from jaxedit.host import levels
from jaxedit.method import Batch, State, Task
from jaxedit.methods.iedit import vocabulary, zero_shot
from jaxedit.methods.iedit.autoencoder_method import DTYPES
from jaxedit.methods.iedit.one_network import OneNetwork
from jaxedit.methods.iedit.text_data import Told
from jaxedit.models.clip import preprocessing
from jaxedit.models.clip.configs import CLIPConfig, TextConfig, VisionConfig
from jaxedit.models.clip.tokenizer import Tokenizer
from jaxedit.models.clip.towers import CLIP, unit
from jaxedit.task import Array, Image, Text

PyTree = Any
NETWORK = "clip"
_LARGEST_SCALE = math.log(100)  # [B]


def description(config: ml_collections.ConfigDict) -> CLIPConfig:
    """Returns the towers that `config.towers` describes."""
    towers = config.towers
    text = tokenizer(config)
    shared = lambda width, layers, heads: {
        "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }
    return CLIPConfig(
        TextConfig(
            **shared(towers.text_width, towers.text_layers, towers.text_heads),
            vocab_size=text.size, max_position_embeddings=text.length, eos_token_id=text.end,
        ),
        VisionConfig(
            **shared(towers.vision_width, towers.vision_layers, towers.vision_heads),
            image_size=towers.side, patch_size=towers.patch,
        ),
        towers.projection,
    )


def tokenizer(config: ml_collections.ConfigDict) -> Tokenizer:
    """Returns the tokenizer that `config.towers` describes."""
    return vocabulary.create(config.towers.vocabulary, config.towers.length)


class Towers(OneNetwork):
    """Trains a `CLIP` by contrasts within the batch: within a device's share of it under `pmap`."""

    def __init__(
        self, config: ml_collections.ConfigDict, axis_name: str | None = None,
        artifacts: Mapping[str, Any] | None = None,
    ):
        super().__init__(config, axis_name, artifacts)
        self.clip = description(config)
        self.text = tokenizer(config)

    def networks(self) -> dict[str, nn.Module]:
        return {NETWORK: CLIP(self.clip, DTYPES[self.config.precision.compute])}

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        side = self.config.towers.side
        return {
            "image": jax.ShapeDtypeStruct((batch_size, side, side, 3), jnp.float32),
            "tokens": jax.ShapeDtypeStruct((batch_size, self.text.length), jnp.int32),
            "attributes": jax.ShapeDtypeStruct((batch_size, zero_shot.COUNT), jnp.int32),
        }

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        image, tokens = (jnp.zeros((1, *spec[name].shape[1:]), spec[name].dtype)
                         for name in ("image", "tokens"))
        params = self.networks()[NETWORK].init(rng, image, tokens)["params"]
        return State(step=jnp.zeros((), jnp.int32), params={NETWORK: params})

    def loss(
        self, state: State, params: PyTree, batch: Batch
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        del state
        pictures, texts = self.networks()[NETWORK].apply(
            {"params": params}, self._pixels(batch["image"]), batch["tokens"]
        )
        scale = jnp.exp(params["logit_scale"])
        value, right = contrast(scale * pictures @ texts.T, batch["tokens"])
        return value, {"loss/contrast": value, "accuracy/in_batch": right, "logit_scale": scale}

    def bounded(self, params: PyTree) -> PyTree:
        return {**params, "logit_scale": jnp.minimum(params["logit_scale"], _LARGEST_SCALE)}

    def _pixels(self, image: jax.Array) -> jax.Array:
        return preprocessing.from_unit_range(image, self.config.towers.side)

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Returns `embedding` and `text_embedding` (B, D) of length 1, and `zero_shot`.

        The last, (B, answers), are the probabilities of each attribute of the small world, told by
        the nearest text alone, see `zero_shot`.
        """
        del rng, task
        params = {"params": (state.ema or state.params)[NETWORK]}
        network = self.networks()[NETWORK]
        embed = lambda tokens: unit(network.apply(params, tokens, method="embed_tokens"))
        pictures = unit(
            network.apply(params, self._pixels(inputs["image"]), method="embed_pixels")
        )
        scale = jnp.exp(params["params"]["logit_scale"])
        return {
            "embedding": pictures,
            "text_embedding": embed(inputs["tokens"]),
            "zero_shot": zero_shot.probabilities(pictures, scale, lambda texts: embed(
                jnp.asarray(self.text.tokens(texts))
            )),
        }

    @property
    def tasks(self) -> dict[str, Task]:
        """Returns `embed`: a picture and a text into one space."""
        side = self.config.towers.side
        return {"embed": Task(
            {"image": Image(size=(side, side)),
             "prompt": Text(lambda texts: {"tokens": self.text.checked(texts)})},
            {"embedding": Array((None,)), "text_embedding": Array((None,)),
             "zero_shot": Array((None,))},
        )}

    def transform(self, *, train: bool) -> Told:
        data = self.config.data
        return Told(
            self.config.towers.side, train, data.scale, data.flip, self.text,
            self.config.towers.phrases if train else 0.0,
        )

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns what is told of pictures that were never seen, by the nearest text."""
        return {"zero_shot": Evaluation(
            task="embed", prediction="zero_shot", target="attributes",
            metrics=(*zero_shot.metrics(), zero_shot.CaptionCosine()),
            prepare=lambda batch: {name: batch[name] for name in ("image", "tokens")},
            picture=zero_shot.picture,
        )}

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        return {"picture": levels.of_picture(batch["image"])}


def contrast(logits: jax.Array, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns CLIP's loss and the share of pictures that find their text.

    Texts that are the same word for word are one answer: none is a wrong one for the other's
    picture. Where all differ this is the published loss.

    Args:
      logits: (B, B), scaled cosines of pictures and texts.
      tokens: (B, N) of the texts.
    """
    same = (tokens[:, None] == tokens[None]).all(-1).astype(logits.dtype)
    target = same / same.sum(-1, keepdims=True)
    entropy = lambda logits: -(target * jax.nn.log_softmax(logits)).sum(-1).mean()
    right = jnp.take_along_axis(same, logits.argmax(-1)[:, None], 1).mean()
    return (entropy(logits) + entropy(logits.T)) / 2, right

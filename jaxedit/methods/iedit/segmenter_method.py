"""Training of a segmenter that is asked with words: CLIPSeg's decoder on frozen towers.

Lüddecke and Ecker (2022), section 3: binary cross-entropy between the map and the mask of what the
phrase names; of a phrase that names nothing in the picture the mask is empty. Part `segmenter`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from jaxedit.data import classes as classes_lib
from jaxedit.data import sources
from jaxedit.errors import UserError
from jaxedit.evaluation import Evaluation
from jaxedit.host import levels
from jaxedit.method import Batch, State, Task
from jaxedit.methods.iedit import towers_method
from jaxedit.methods.iedit.autoencoder_method import DTYPES
from jaxedit.methods.iedit.one_network import OneNetwork
from jaxedit.methods.iedit.region import binary
from jaxedit.methods.iedit.text_data import ABSENT, ASKED, Asked
from jaxedit.metrics import base
from jaxedit.models import imagenet
from jaxedit.models.clip.configs import CLIPSegConfig
from jaxedit.models.clipseg import CLIPSeg, Decoder
from jaxedit.task import Array, Image, Text

PyTree = Any
NETWORK, TOWERS = "segmenter", "clip"


def description(config: ml_collections.ConfigDict) -> CLIPSegConfig:
    """Returns the segmenter that `config.segmenter` describes, on the towers of `config.towers`."""
    segmenter = config.segmenter
    return CLIPSegConfig(
        clip=towers_method.description(config),
        extract_layers=tuple(segmenter.layers),
        reduce_dim=segmenter.width,
        decoder_num_attention_heads=segmenter.heads,
        decoder_intermediate_size=segmenter.feed_forward,
    )


class Segmenter(OneNetwork):
    """Trains the decoder of a `CLIPSeg`."""

    def __init__(
        self, config: ml_collections.ConfigDict, axis_name: str | None = None,
        artifacts: Mapping[str, Any] | None = None,
    ):
        super().__init__(config, axis_name, artifacts)
        self.clipseg = description(config)
        self.text = towers_method.tokenizer(config)
        patch = self.clipseg.clip.vision.patch_size
        if config.segmenter.side % patch:
            raise UserError(f"segmenter.side={config.segmenter.side}: it must be a multiple of "
                            f"towers.patch={patch}.")
        self.grid = config.segmenter.side // patch
        self.out = self.grid * (patch // 4) ** 2

    def networks(self) -> dict[str, nn.Module]:
        return {NETWORK: Decoder(self.clipseg, DTYPES[self.config.precision.compute])}

    def spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        side = self.config.segmenter.side
        return {
            "image": jax.ShapeDtypeStruct((batch_size, side, side, 3), jnp.float32),
            "tokens": jax.ShapeDtypeStruct((batch_size, self.text.length), jnp.int32),
            "mask": jax.ShapeDtypeStruct((batch_size, self.out, self.out), jnp.float32),
            "asked": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
        }

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        vision = self.clipseg.clip.vision
        tap = jnp.zeros((1, 1 + self.grid**2, vision.hidden_size))
        taps = [tap for _ in self.clipseg.extract_layers]
        condition = jnp.zeros((1, self.clipseg.clip.projection_dim))
        params = self.networks()[NETWORK].init(rng, taps, condition, (self.grid, self.grid))
        return State(step=jnp.zeros((), jnp.int32), params={NETWORK: params["params"]})

    def _logits(self, state: State, params: PyTree, image: jax.Array, tokens: jax.Array):
        """Returns logits (B, out, out); no gradient reaches the towers."""
        if TOWERS not in state.frozen:
            raise UserError(
                "The segmenter has no towers to stand on. Give its stage the pair "
                f"(STAGE:ema/{towers_method.NETWORK}, frozen/{TOWERS}) of a stage that trains "
                "them, as configs/iedit.py:segmenter does."
            )
        network = CLIPSeg(self.clipseg, DTYPES[self.config.precision.compute])
        towers = jax.lax.stop_gradient(state.frozen[TOWERS])
        variables = {"params": {"clip": towers, "decoder": params}}
        return network.apply(variables, imagenet.normalise(image), tokens)

    def loss(
        self, state: State, params: PyTree, batch: Batch
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        logits = self._logits(state, params, batch["image"], batch["tokens"])
        value = optax.sigmoid_binary_cross_entropy(logits, batch["mask"]).mean()
        return value, {"loss/cross_entropy": value}

    def predict(
        self, state: State, inputs: Batch, rng: jax.Array, *, task: str
    ) -> dict[str, jax.Array]:
        """Returns `probability` (B, out, out): does a place belong to what the text names?"""
        del rng, task
        params = (state.ema or state.params)[NETWORK]
        logits = self._logits(state, params, inputs["image"], inputs["tokens"])
        return {"probability": jax.nn.sigmoid(logits)}

    @property
    def tasks(self) -> dict[str, Task]:
        """Returns `segment`: a picture and a phrase to a map."""
        side = self.config.segmenter.side
        return {"segment": Task(
            {"image": Image(size=(side, side)),
             "prompt": Text(lambda texts: {"tokens": self.text.checked(texts)})},
            {"probability": Array((None, None))},
        )}

    def transform(self, *, train: bool) -> Asked:
        config = self.config
        return Asked(
            config.segmenter.side, self.out, train, config.data.scale, self.text,
            config.segmenter.absent, config.segmenter.held_out, _classes(config.data.source),
        )

    def evaluations(self) -> dict[str, Evaluation]:
        """Returns the overlap of masks, apart for words that training never asked for."""
        return {"segmentation": Evaluation(
            task="segment", prediction="probability", target="mask",
            metrics=(Overlap(), Marked()), groups=ASKED,
            group=lambda batch: [ASKED[place] for place in batch["asked"]],
            baselines={"everything": lambda batch: np.ones_like(batch["mask"])},
            best=("iou", "max"),
            prepare=lambda batch: {name: batch[name] for name in ("image", "tokens")},
            picture=lambda maps: levels.of_opacity(binary(maps))[..., None],
        )}

    def pictures(
        self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        grey = lambda maps: levels.of_opacity(maps)[..., None]
        return {
            "picture": levels.of_picture(batch["image"]), "truth": grey(batch["mask"]),
            "probability": grey(outputs["probability"]),
        }


class Overlap(base.MeanMetric):
    """Intersection over union of masks, of phrases that name something in the picture."""

    def __init__(self):
        super().__init__("iou", "intersection over union of masks of what is there", True,
                         "all phrases name what is not in the picture")

    def values(self, outputs, batch):
        told, truth = binary(outputs["probability"]), batch["mask"] >= 0.5
        both, either = (told & truth).sum((1, 2)), (told | truth).sum((1, 2))
        return both / np.maximum(either, 1), batch["asked"] != ASKED.index(ABSENT)


class Marked(base.MeanMetric):
    """The share of a picture that is marked for a phrase that names nothing in it."""

    def __init__(self):
        super().__init__("marked", "share marked for what is not there", False,
                         "all phrases name what is in the picture")

    def values(self, outputs, batch):
        told = binary(outputs["probability"])
        return told.mean((1, 2)), batch["asked"] == ASKED.index(ABSENT)


def _classes(source: str) -> tuple[str, ...]:
    """Returns the names of a source's classes; none where it has no label maps."""
    options = {"check_headers": 0} if source.startswith("folder:") else {}
    opened = sources.create(source, lambda one: "train", **options)
    return () if opened.classes is None else classes_lib.of_source(opened).names

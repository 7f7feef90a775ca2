"""What SCAT's discriminator and generator minimise, and AOT-GAN's as the baseline.

Every term is weighted as in its network's total; a term of weight 0 is never computed, nor are
networks that only it needs. See `Settings` for the weights and alternatives.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.errors import UserError
from jaxedit.layers import spectral
from jaxedit.losses import adversarial, perceptual
from jaxedit.methods.scat import contrastive
from jaxedit.methods.scat.generator import composite, corrupt
from jaxedit.models import imagenet

PyTree = Any
Terms = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Weights and alternatives of the losses; the defaults are SCAT's published ones.

    Weights count in the generator's total. The discriminator's terms have weight 1 while the
    generator's of the same kind is not 0.

    Attributes:
      l1: reconstruction, on the raw prediction, over the whole image.
      global_adversarial: the global head.
      segmentation: the per-pixel head (segmentation confusion).
      textural: contrastive, on encoder features.
      semantic: contrastive, on the pooled bottleneck.
      perceptual: AOT-GAN, VGG-19 features.
      style: AOT-GAN, VGG-19 Gram matrices.
      patch: AOT-GAN's patch discriminator, instead of SCAT's.
      global_kind: "hinge", "nsgan" or "lsgan".
      segmentation_kind: the same.
      segmentation_region: pixels that the generator's segmentation term counts, "hole" or "all".
      textural_levels: encoder levels of the textural term, of 0 (the image) to 5.
      semantic_temperature: divides the cosines; 1 as in the published code, which declares 0.07.
      semantic_negatives: "batch" (an image with every mask of its group) or "own" (its own mask).
      semantic_group: consecutive samples that share their masks as negatives; 0 for the batch.
      patch_kind: "smgan", or one of the kinds above on patch logits.
      smgan_target, smgan_masked: see `losses.adversarial.smgan_generator_loss`.
      simultaneous: both networks from one backward pass, before either is updated, so that the
        generator's adversarial term also reaches the discriminator: AOT-GAN's published step.
      accumulate: micro-batches per step.
      ema_decay: of the averaged generator; 0 keeps none.
    """

    l1: float = 10.0
    global_adversarial: float = 1.0
    segmentation: float = 1.0
    textural: float = 10.0
    semantic: float = 1.0
    perceptual: float = 0.0
    style: float = 0.0
    patch: float = 0.0
    global_kind: str = "hinge"
    segmentation_kind: str = "hinge"
    segmentation_region: str = "hole"
    textural_levels: tuple[int, ...] = (1, 2, 3, 4)
    semantic_temperature: float = 1.0
    semantic_negatives: str = "batch"
    semantic_group: int = 0
    patch_kind: str = "smgan"
    smgan_target: float = 1.0
    smgan_masked: bool = False
    simultaneous: bool = False
    accumulate: int = 1
    ema_decay: float = 0.0

    def __post_init__(self):
        if self.patch and self.uses_segmentation_network:
            raise UserError(
                "A patch discriminator has no heads and no features for SCAT's losses: set patch "
                "to 0, or global_adversarial, segmentation, textural and semantic."
            )

    @classmethod
    def aotgan(cls, **changes) -> Settings:
        """Returns AOT-GAN's published weights and step, with `changes`."""
        published = dict(
            l1=1.0,
            global_adversarial=0.0,
            segmentation=0.0,
            textural=0.0,
            semantic=0.0,
            perceptual=0.1,
            style=250.0,
            patch=0.01,
            simultaneous=True,
        )
        return cls(**(published | changes))

    @property
    def uses_segmentation_network(self) -> bool:
        """Whether any term needs one of SCAT's discriminators."""
        return any((self.global_adversarial, self.segmentation, self.textural, self.semantic))

    @property
    def uses_discriminator(self) -> bool:
        """Whether any term needs a discriminator, be it an untrained one."""
        return bool(self.patch) or self.uses_segmentation_network

    @property
    def trains_discriminator(self) -> bool:
        """Whether there is an adversarial term."""
        return any((self.global_adversarial, self.segmentation, self.patch))

    @property
    def uses_vgg(self) -> bool:
        """Whether any term needs VGG-19."""
        return any((self.perceptual, self.style))


@dataclasses.dataclass(frozen=True)
class Objectives:
    """The two objectives over given networks.

    Attributes:
      networks: `generator`, and as the settings need them `discriminator`, `head` (the MLP ahead
        of the semantic loss; without it the pooled features are compared) and `vgg19`.
      settings: weights and alternatives.
    """

    networks: Mapping[str, nn.Module]
    settings: Settings

    def generate(self, params: PyTree, image: jax.Array, mask: jax.Array) -> jax.Array:
        """Returns the generator's prediction (B, H, W, 3) for the holes of `image`."""
        return self.networks["generator"].apply({"params": params}, corrupt(image, mask), mask)

    def discriminate(
        self, params: PyTree, vectors: PyTree, image: jax.Array, **options: Any
    ) -> tuple[Any, PyTree]:
        """Returns the discriminator's output and its spectral vectors after a training pass."""
        vectors = spectral.iterate(params, vectors)
        variables = {"params": params, spectral.COLLECTION: vectors}
        return self.networks["discriminator"].apply(variables, image, **options), vectors

    def discriminator(
        self,
        params: PyTree,
        vectors: PyTree,
        prediction: jax.Array,
        image: jax.Array,
        mask: jax.Array,
    ) -> tuple[jax.Array, tuple[Terms, PyTree]]:
        """Returns the discriminator's total, its terms and the spectral vectors afterwards.

        Args:
          params: the discriminator's parameters.
          vectors: its spectral vectors, {} without spectral normalisation.
          prediction: (B, H, W, 3) from the generator, not differentiated.
          image, mask: the batch.
        """
        settings = self.settings
        fake = lax.stop_gradient(composite(image, prediction, mask))
        terms: Terms = {}
        if settings.patch:
            logits_fake, vectors = self.discriminate(params, vectors, fake)
            logits_real, vectors = self.discriminate(params, vectors, image)
            if settings.patch_kind == "smgan":
                terms["patch_d"] = adversarial.smgan_discriminator_loss(
                    logits_real, logits_fake, mask
                )
            else:
                terms["patch_d"] = adversarial.discriminator_loss(
                    settings.patch_kind, logits_real, logits_fake
                )
            return _total(terms), (terms, vectors)
        decode = settings.segmentation != 0
        of_fake, vectors = self.discriminate(params, vectors, fake, decode=decode)
        of_real, vectors = self.discriminate(params, vectors, image, decode=decode)
        if settings.global_adversarial:
            terms["global_d"] = adversarial.discriminator_loss(
                settings.global_kind, of_real.global_logits, of_fake.global_logits
            )
        if settings.segmentation:
            terms["segmentation_d"] = adversarial.segmentation_discriminator_loss(
                settings.segmentation_kind, of_real.pixel_logits, of_fake.pixel_logits, mask
            )
        return _total(terms), (terms, vectors)

    def generator(
        self,
        prediction: jax.Array,
        head: PyTree,
        params: PyTree,
        vectors: PyTree,
        frozen: Mapping[str, PyTree],
        image: jax.Array,
        mask: jax.Array,
    ) -> tuple[jax.Array, tuple[Terms, PyTree]]:
        """Returns the generator's total, its terms and the spectral vectors afterwards.

        Args:
          prediction: (B, H, W, 3) from the generator.
          head: the MLP's parameters, {} without one.
          params: the discriminator's parameters.
          vectors: its spectral vectors.
          frozen: `vgg19` holds VGG-19's variables where perceptual or style terms are on.
          image, mask: the batch.
        """
        settings = self.settings
        fake = composite(image, prediction, mask)
        terms: Terms = {}
        if settings.l1:
            terms["l1"] = settings.l1 * jnp.mean(jnp.abs(prediction - image))
        if settings.uses_vgg:
            terms |= self._vgg_terms(prediction, image, frozen)
        if settings.patch:
            logits, vectors = self.discriminate(params, vectors, fake)
            if settings.patch_kind == "smgan":
                loss = adversarial.smgan_generator_loss(
                    logits, mask, settings.smgan_target, settings.smgan_masked
                )
            else:
                loss = adversarial.generator_loss(settings.patch_kind, logits)
            terms["patch_g"] = settings.patch * loss
        of_fake = None
        if settings.global_adversarial or settings.segmentation:
            of_fake, vectors = self.discriminate(
                params, vectors, fake, decode=settings.segmentation != 0
            )
        if settings.global_adversarial:
            terms["global_g"] = settings.global_adversarial * adversarial.generator_loss(
                settings.global_kind, of_fake.global_logits
            )
        if settings.segmentation:
            loss = adversarial.segmentation_generator_loss(
                settings.segmentation_kind,
                of_fake.pixel_logits,
                mask,
                settings.segmentation_region,
            )
            terms["segmentation_g"] = settings.segmentation * loss
        if settings.textural or settings.semantic:
            contrast, vectors = self._contrastive_terms(
                of_fake, fake, head, params, vectors, image, mask
            )
            terms |= contrast
        return _total(terms), (terms, vectors)

    def _contrastive_terms(
        self,
        of_fake: Any,
        fake: jax.Array,
        head: PyTree,
        params: PyTree,
        vectors: PyTree,
        image: jax.Array,
        mask: jax.Array,
    ) -> tuple[Terms, PyTree]:
        """Encodes composite, image, corrupted image and negatives, in the published order."""
        settings = self.settings
        terms: Terms = {}
        # The published code encodes the composite anew. That matters only to spectral
        # normalisation, whose vectors move at every pass.
        if of_fake is None or vectors:
            of_fake, vectors = self.discriminate(params, vectors, fake, decode=False)
        of_image, vectors = self.discriminate(params, vectors, image, decode=False)
        own = settings.semantic_negatives == "own"
        if settings.textural or own:
            of_corrupted, vectors = self.discriminate(
                params, vectors, corrupt(image, mask), decode=False
            )
        if settings.textural:
            distances = contrastive.textural_terms(
                of_fake.features, of_image.features, of_corrupted.features,
                settings.textural_levels,
            )
            terms["textural"] = settings.textural * contrastive.textural_loss(distances)
        if settings.semantic:
            if own:
                negatives = of_corrupted.pooled
            else:
                corrupted = contrastive.corrupted_by_every_mask(
                    image, mask, settings.semantic_group
                )
                of_negatives, vectors = self.discriminate(params, vectors, corrupted, decode=False)
                negatives = of_negatives.pooled
            logits = contrastive.semantic_logits(
                self.project(head, of_fake.pooled),
                self.project(head, of_image.pooled),
                self.project(head, negatives),
            )
            loss = contrastive.semantic_loss(logits, settings.semantic_temperature)
            terms["semantic"] = settings.semantic * loss
        return terms, vectors

    def project(self, head: PyTree, pooled: jax.Array) -> jax.Array:
        """Returns unit vectors of pooled features (N, D), through the MLP if there is one."""
        if "head" in self.networks:
            pooled = self.networks["head"].apply({"params": head}, pooled)
        return contrastive.normalise(pooled)

    def _vgg_terms(
        self, prediction: jax.Array, image: jax.Array, frozen: Mapping[str, PyTree]
    ) -> Terms:
        settings = self.settings
        features, target = (
            self.networks["vgg19"].apply(frozen["vgg19"], imagenet.normalise(x))
            for x in (prediction, image)
        )
        terms: Terms = {}
        if settings.perceptual:
            loss = perceptual.perceptual_loss(features, target)
            terms["perceptual"] = settings.perceptual * loss
        if settings.style:
            terms["style"] = settings.style * perceptual.style_loss(features, target)
        return terms


def _total(terms: Terms) -> jax.Array:
    return sum(terms.values(), start=jnp.zeros((), jnp.float32))

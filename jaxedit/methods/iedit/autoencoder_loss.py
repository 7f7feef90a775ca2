"""What the autoencoder is trained for (the published recipe of latent diffusion).

    L = sum over pixels and channels of (|x - y| + d(x, y)) / exp(s) + s      averaged over pictures
        + 1e-6 KL + w_d 0.5 L_adversarial

d is LPIPS, added to every pixel; s a learned scalar, the logarithm of the error's scale; KL is that
of the latents' distribution from the standard normal; the adversarial term is the hinge
generator's, from step 50,001 on, and w_d makes its gradient in the last layer as long as that of
the first term: |g_reconstruction| / (|g_adversarial| + 1e-4), at most 1e4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers.convolution import conv2d
from jaxedit.models import lpips
from jaxedit.models.vgg import VGG

Distance = Callable[[jax.Array, jax.Array], jax.Array]
_EPSILON, _LARGEST = 1e-4, 1e4


class LogVariance(nn.Module):
    """The learned scalar s."""

    @nn.compact
    def __call__(self) -> jax.Array:
        """Returns s, ()."""
        return self.param("value", nn.initializers.zeros, (), jnp.float32)


def random_network(width: int) -> VGG:
    """Returns the VGG-16 whose random features stand in for LPIPS'."""
    return VGG(16, lpips.LAYERS["vgg"], width)


def random_distance(network: VGG, variables: Mapping[str, Any]) -> Distance:
    """Returns the distance of random features, pictures in [-1, 1] -> (B,).

    Of every layer the squared difference of features of length 1, averaged over pixels.
    """

    def unit(features: jax.Array) -> jax.Array:
        length = jnp.sum(jnp.square(features), -1, keepdims=True)
        return features * jax.lax.rsqrt(length + 1e-8)

    def distance(a: jax.Array, b: jax.Array) -> jax.Array:
        ours, theirs = network.apply(variables, a), network.apply(variables, b)
        return sum(
            jnp.mean(jnp.sum(jnp.square(unit(ours[name]) - unit(theirs[name])), -1), (1, 2))
            for name in ours
        )

    return distance


def published_distance(variables: Mapping[str, Any]) -> Distance:
    """Returns LPIPS on VGG-16, pictures in [-1, 1] -> (B,); variables as of `lpips.distance`."""
    return lambda a, b: lpips.distance("vgg", variables, a, b)


def reconstruction(
    image: jax.Array, made: jax.Array, log_variance: jax.Array, distance: Distance | None,
    weight: float,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the first line of the loss, and its terms per pixel.

    Args:
      image, made: (B, H, W, 3), the truth and what was made of it.
      log_variance: s.
      distance: d; None leaves it out.
      weight: of d.
    """
    error = jnp.abs(image - made)
    terms = {"l1": error.mean()}
    if distance is not None:
        far = distance(made, image)
        error += weight * far[:, None, None, None]
        terms["perceptual"] = far.mean()
    total = jnp.sum(error * jnp.exp(-log_variance) + log_variance) / len(image)
    return total, terms


def last_layer_norm(features: jax.Array, kernel: jax.Array, cotangent: jax.Array) -> jax.Array:
    """Returns the length of a loss's gradient in the kernel of the last convolution.

    Args:
      features: what that convolution reads, (B, H, W, C).
      kernel: of 3 x 3, HWIO.
      cotangent: the loss's gradient in the picture, (B, H, W, 3).
    """
    run = lambda kernel: conv2d(features, kernel.astype(features.dtype), padding=1)
    _, pull_back = jax.vjp(run, kernel)
    (gradient,) = pull_back(cotangent.astype(features.dtype))
    return jnp.linalg.norm(gradient)


def balance(of_reconstruction: jax.Array, of_adversary: jax.Array) -> jax.Array:
    """Returns w_d of the lengths of both gradients in the last layer."""
    return jnp.clip(of_reconstruction / (of_adversary + _EPSILON), 0, _LARGEST)

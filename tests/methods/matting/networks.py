"""A matting network small enough for tests, and inputs for it."""

import functools

import jax
import numpy as np

from jaxedit.methods.matting import colour
from jaxedit.methods.matting.network import MattingNetwork

TINY = {
    "embed_dim": 4,
    "depths": (2, 1, 1, 1),
    "heads": (1, 1, 2, 2),
    "window": 3,
    "width": 4,
    "decoder_blocks": (1, 1, 2, 1),
}


# A network has hundreds of operations, and what is compiled for a test runs once.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def tiny(**options) -> MattingNetwork:
    """Returns a network of a few thousand parameters."""
    return MattingNetwork(**(TINY | options))


@functools.cache
def inputs(batch: int = 2, height: int = 64, width: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Returns a normalised picture and a one-hot trimap of blocks of 8 pixels."""
    rng = np.random.default_rng(0)
    image = rng.standard_normal((batch, height, width, 3)).astype(np.float32)
    labels = rng.integers(0, 3, (batch, height // 8, width // 8, 1), dtype=np.int32)
    labels = labels.repeat(8, 1).repeat(8, 2)
    return image, np.asarray(colour.one_hot(labels))


@functools.cache
def shapes(module: MattingNetwork) -> dict:
    """Returns the network's variables as shape structs."""
    return dict(jax.eval_shape(module.init, jax.random.key(0), *inputs()))


def drawn(module: MattingNetwork) -> dict:
    """Returns variables of standard normal values; those of published layout, but no start."""
    rng = np.random.default_rng(0)
    draw = lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32)
    return jax.tree.map(draw, shapes(module))

"""The ordering network: of two touching segments, the class of the one in front.

Qi et al., CVPR 2018, section 3.3; layers of the published code. It reads colour maps of the two
segments and of the whole layout, and gives logits of the classes; "unlabelled" is never the answer.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxedit.host.names import check_choice
from jaxedit.layers.convolution import Conv
from jaxedit.methods.sims.trunk import XAVIER, Block, Trunk

POOLS = ("whole", "released")
AMONG = ("all", "pair")
_RELEASED_WINDOW = (8, 12)  # of a map of 8 x 16: the right quarter is not seen


class OrderingNetwork(nn.Module):
    """The ordering network.

    Attributes:
      classes: of the layout; the logits are one more.
      width: channels of the first block; 64 as published.
      pool: `whole`: the mean over all places; `released`: over the first 8 rows and 12 columns.
      dropout: rate ahead of the last layer.
      remat, dtype: as in `Trunk`.
    """

    classes: int = 19
    width: int = 64
    pool: str = "whole"
    dropout: float = 0.5
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """(N, H, W, 6), see `network_input`, to logits (N, classes + 1) float32.

        With `train`, the random stream `dropout` is needed.
        """
        check_choice("pool", self.pool, POOLS)
        x = Trunk(self.width, self.remat, self.dtype, name="trunk")(x)
        if self.pool == "released":
            x = x[:, : _RELEASED_WINDOW[0], : _RELEASED_WINDOW[1]]
        x = jnp.mean(x.astype(jnp.float32), (1, 2), keepdims=True)
        x = Block(16 * self.width, 1, kernel_size=1, dtype=self.dtype, name="hidden")(x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = Conv(
            self.classes + 1, kernel_size=1, kernel_init=XAVIER, dtype=self.dtype, name="classify"
        )(x)
        return x[:, 0, 0].astype(jnp.float32)


def network_input(
    label: jax.Array, pair: jax.Array, classes: jax.Array, colours: jax.Array
) -> jax.Array:
    """Returns what the network reads of each pair, (B, P, H, W, 6), in [0, 1].

    Args:
      label: int (B, H, W), the layout; what is no class counts as unlabelled.
      pair: int (B, P, H, W): 1 and 2 on the two segments, 0 elsewhere.
      classes: int (B, P, 2), of the two segments.
      colours: (C + 1, 3) in [0, 1], of the classes; the last is of "unlabelled".
    """
    count = len(colours) - 1
    of_layout = colours[jnp.where((label >= 0) & (label < count), label, count)]
    first, second = (
        (pair == i + 1)[..., None] * colours[classes[..., i]][:, :, None, None] for i in (0, 1)
    )
    shape = (*pair.shape, 3)
    return jnp.concatenate([first + second, jnp.broadcast_to(of_layout[:, None], shape)], axis=-1)


def of_pair(logits: jax.Array, classes: jax.Array) -> jax.Array:
    """Returns the logits of the two classes of a pair alone; the others are as good as impossible.

    Their probabilities are then what `order.decide` compares, and the network need not learn to say
    which two classes it was shown.

    Args:
      logits: (B, P, classes + 1).
      classes: int (B, P, 2), of the two segments.
    """
    asked = jax.nn.one_hot(classes, logits.shape[-1]).max(-2) > 0
    return jnp.where(asked, logits, -1e9)


def loss(logits: jax.Array, front: jax.Array, present: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns (mean cross-entropy, share of right answers) over the pairs that are there.

    Args:
      logits: (B, P, classes + 1).
      front: int (B, P), the class in front.
      present: (B, P), 0 for the filling of an image with fewer pairs.
    """
    weight = present.astype(jnp.float32)
    total = jnp.maximum(jnp.sum(weight), 1)
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, front)
    right = jnp.argmax(logits, -1) == front
    return jnp.sum(entropy * weight) / total, jnp.sum(right * weight) / total

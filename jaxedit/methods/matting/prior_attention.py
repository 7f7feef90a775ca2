"""Prior tokens and the block that attends to them (MatteFormer, Park et al., 2022, section 3).

At the start of every block, the tokens of each trimap class are averaged into one prior token.
These join the memory that the stage's earlier blocks left, and every window attends to all of them.
The priors themselves do not attend: each is carried on by its own value projection and MLP.

A set of priors has the order unknown, background, foreground. (The published code names the second
slot foreground and the third background, and fills them the other way round; its weights, and so
this module, go by what it fills in.)
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxedit.models import swin

_SET = np.array([1, 0, 2])  # channels of the one-hot trimap in the order of a set of priors


def prior_tokens(x: jax.Array, trimap: jax.Array) -> jax.Array:
    """Returns the mean token of each class: (B, 3, C), zero where a class has no token.

    Args:
      x: (B, H, W, C).
      trimap: (B, H, W, 3), one-hot in the order background, unknown, foreground.
    """
    classes = trimap[..., _SET].astype(jnp.float32)
    sums = jnp.einsum(
        "bhwk,bhwc->bkc", classes, x.astype(jnp.float32), precision=lax.Precision.HIGHEST
    )
    counts = classes.sum((1, 2))[..., None]
    return (sums / (counts + 1e-9)).astype(x.dtype)


class PriorAttention(nn.Module):
    """PA-WSA: attention whose keys and values are a window's tokens and all priors.

    Attributes:
      heads: attention heads.
      window: side of the windows in tokens.
      dtype: dtype of the computation and of the result.
    """

    heads: int
    window: int = 7
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, windows: jax.Array, priors: jax.Array, mask: np.ndarray | None
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the attended windows and what the priors gain, proj(value(prior)).

        Args:
          windows: (B, windows, window^2, C).
          priors: (B, P, C).
          mask: (windows, window^2, window^2) to add to the logits, or None; priors are never
            masked.
        """
        batch, count, _, channels = windows.shape
        tokens = priors.shape[1]
        qkv = swin.dense(3 * channels, channels, self.dtype, "qkv")
        proj = swin.dense(channels, channels, self.dtype, "proj")
        bias = swin.PositionBias(self.heads, self.window, tokens, name="bias")()
        of_windows = [swin.split_heads(part, self.heads) for part in jnp.split(qkv(windows), 3, -1)]
        of_priors = jnp.split(qkv(priors), 3, -1)

        def with_priors(inside: jax.Array, outside: jax.Array) -> jax.Array:
            outside = jnp.broadcast_to(outside[:, None], (batch, count, tokens, channels))
            return jnp.concatenate([inside, swin.split_heads(outside, self.heads)], 2)

        if mask is not None:
            mask = np.pad(mask, ((0, 0), (0, 0), (0, tokens)))
        query, *keys_and_values = of_windows
        key, value = map(with_priors, keys_and_values, of_priors[1:])
        attended = proj(swin.attend(query, key, value, bias, mask))
        return attended.reshape(windows.shape), proj(of_priors[2])


class PriorBlock(nn.Module):
    """The PAST block: prior-attentive (shifted) window attention, then the MLP, both residual.

    Attributes:
      heads, window: as in `PriorAttention`.
      shift: by how many tokens the windows are shifted.
      drop_path: rate of stochastic depth, decided anew for every branch, and for every prior.
      dtype: dtype of the computation and of the result.
    """

    heads: int
    window: int = 7
    shift: int = 0
    drop_path: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, trimap: jax.Array, memory: jax.Array, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the new tokens (B, H, W, C) and the new memory (B, P + 3, C).

        Args:
          x: (B, H, W, C).
          trimap: (B, H, W, 3), one-hot in the order background, unknown, foreground.
          memory: (B, P, C) priors of the stage's earlier blocks, oldest first; P may be 0.
          train: whether to drop paths, with the rng `drop_path`.
        """
        height, width = x.shape[1:3]

        def drop(y: jax.Array, axes: int = 1) -> jax.Array:
            rng = self.make_rng("drop_path") if train and self.drop_path else None
            return swin.drop_path(y, self.drop_path, rng, axes)

        memory = jnp.concatenate([memory, prior_tokens(x, trimap)], 1)
        norm1, norm2 = (swin.layer_norm(self.dtype, name) for name in ("norm1", "norm2"))
        windows = swin.to_windows(norm1(x), self.window, self.shift)
        mask = swin.window_logits_mask(height, width, self.window, self.shift)
        attention = PriorAttention(self.heads, self.window, self.dtype, name="attn")
        attended, gained = attention(windows, norm1(memory), mask)
        x = x + drop(swin.from_windows(attended, height, width, self.window, self.shift))
        memory = memory + drop(gained, axes=2)

        mlp = swin.MLP(dtype=self.dtype, name="mlp")
        return x + drop(mlp(norm2(x))), memory + drop(mlp(norm2(memory)), axes=2)

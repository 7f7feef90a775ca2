"""SCAT as a `Method`: the networks, one training phase, prediction and evaluation of inpainting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from jaxedit import pictures
from jaxedit.errors import UserError
from jaxedit.method import Batch, Evaluation, Method, State, Sums, Task
from jaxedit.methods.scat import baselines, contrastive, discriminators, update
from jaxedit.methods.scat.data import Transform
from jaxedit.methods.scat.generator import Generator, composite, corrupt
from jaxedit.methods.scat.patch_discriminator import PatchDiscriminator

PyTree = Any

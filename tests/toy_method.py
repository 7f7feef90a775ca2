"""A small complete method for testing the core: two phases, statistics, EMA, frozen weights.

It learns to paint over holes with two convolutions; `config.method = "tests.toy_method"`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from configs import common
from jaxedit.host import levels
from jaxedit.method import Evaluation, Method, State, Task
from jaxedit.optim import gradients


class Painter(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(8, (3, 3))(x))
        return nn.Conv(3, (3, 3))(x)


class Transform:
    def __init__(self, size, train):
        self.size, self.train = size, train

    def __call__(self, record, rng):
        image = record["image"]
        y = int(rng.integers(0, image.shape[0] - self.size + 1)) if self.train else 0
        x = int(rng.integers(0, image.shape[1] - self.size + 1)) if self.train else 0
        crop = image[y : y + self.size, x : x + self.size].astype(np.float32) / 127.5 - 1
        mask = np.zeros((self.size, self.size, 1), np.float32)
        top = int(rng.integers(0, self.size // 2))
        mask[top : top + self.size // 4, 2 : 2 + self.size // 2] = 1
        return {"image": crop, "mask": mask}


class Toy(Method):
    def networks(self):
        return {"painter": Painter(), "critic": Painter()}

    def optimizers(self, total_steps):
        del total_steps
        return {name: optax.adam(self.config.optim.lr) for name in self.networks()}

    def spec(self, batch_size):
        size = self.config.image_size
        return {
            "image": jax.ShapeDtypeStruct((batch_size, size, size, 3), jnp.float32),
            "mask": jax.ShapeDtypeStruct((batch_size, size, size, 1), jnp.float32),
        }

    def variables(self, rng, spec):
        x = jnp.zeros((1,) + spec["image"].shape[1:])
        params = {
            name: network.init(jax.random.fold_in(rng, i), x)["params"]
            for i, (name, network) in enumerate(self.networks().items())
        }
        return State(
            step=jnp.zeros((), jnp.int32), params=params, stats={"mean": jnp.zeros((3,))}
        )

    def averages(self, params):
        return {"painter": params["painter"]}

    def phases(self, step):
        return ("critic", "paint") if step % 2 else ("paint",)

    def update(self, state, batch, rng, *, phase):
        name = {"paint": "painter", "critic": "critic"}[phase]
        noise = 0.01 * jax.random.normal(rng, batch["image"].shape[1:])

        def loss(params, carried, batch):
            image, mask = batch["image"], batch["mask"]
            out = self.networks()[name].apply({"params": params}, image * (1 - mask) + noise)
            value = jnp.mean(jnp.abs(out - image))
            if self.config.explode_at:
                value *= jnp.where(state.step + 1 >= self.config.explode_at, jnp.nan, 1.0)
            return value, (value, 0.9 * carried + 0.1 * image.mean((0, 1, 2)))

        def value_and_grad(params, carried, batch):
            (_, pair), grads = jax.value_and_grad(loss, has_aux=True)(params, carried, batch)
            return pair, grads

        (value, mean), grads = gradients.accumulate(
            value_and_grad, state.params[name], state.stats["mean"], batch,
            self.config.train.accumulate,
        )
        grads = gradients.synchronise(grads, self.axis_name)
        mean = gradients.synchronise(mean, self.axis_name)
        updates, opt = self.optimizers(1)[name].update(grads, state.opt[name], state.params[name])
        params = {**state.params, name: optax.apply_updates(state.params[name], updates)}
        ema = {"painter": optax.incremental_update(params["painter"], state.ema["painter"], 0.1)}
        weight = batch["image"].shape[0]
        state = state.replace(
            params=params, opt={**state.opt, name: opt}, stats={"mean": mean}, ema=ema
        )
        return state, {f"loss/{phase}": (value * weight, jnp.float32(weight))}

    def predict(self, state, inputs, rng, *, task):
        del rng, task
        image, mask = inputs["image"], inputs["mask"]
        out = Painter().apply({"params": state.ema["painter"]}, image * (1 - mask))
        return {"composite": image * (1 - mask) + out * mask, "prediction": out}

    @property
    def tasks(self):
        return {"inpaint": Task(("image", "mask"), ("composite", "prediction"), 4, 8)}

    def transform(self, *, train):
        return Transform(self.config.image_size, train)

    def evaluation(self):
        mean = lambda batch: batch["image"] * (1 - batch["mask"])
        return Evaluation(
            "inpaint", "composite", "image", ("psnr", "l1"), groups=("low", "high"),
            group=lambda b: ["low" if m.mean() < 0.1 else "high" for m in b["mask"]],
            baselines={"grey": mean},
        )

    def pictures(self, batch, outputs):
        images = {"truth": batch["image"], "result": outputs["composite"]}
        return {name: levels.of_picture(image) for name, image in images.items()}


def create(config, axis_name=None):
    return Toy(config, axis_name)


def get_config(preset="demo"):
    del preset
    config = common.base()
    config.method = "tests.toy_method"
    config.image_size = 16
    config.optim = {"lr": 1e-2}
    config.explode_at = 0
    config.train.update(steps=12, batch_size=8, log_every=2, evaluate_every=4, checkpoint_every=4)
    config.evaluate.update(limit=16, limit_in_training=8)
    return config.lock()

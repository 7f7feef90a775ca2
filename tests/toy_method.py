"""A paper in small, complete: the example of "Add a paper", and what the core is tested with.

Two convolutions learn to paint over holes, told by the words of a caption what colour to expect.
The preset `demo` is one stage without words; `told` has three, and `colours` the first of them:

1. `colours`, a host stage, measures the mean colour of the pictures that a word goes with;
2. `sketch` trains with those colours in a frozen text encoder;
3. `finish` starts from the averaged painter of `sketch`, and from the same encoder.

Two phases take turns, `paint` and `critic`; the painter's parameters are averaged.
"""

import json
import re
import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import safetensors.numpy

from configs import common
from jaxedit.bounds import one_of, real, whole
from jaxedit.config import choose_preset
from jaxedit.evaluation import Evaluation
from jaxedit.host import atomic, levels
from jaxedit.method import Method, State, Task
from jaxedit.optim import gradients
from jaxedit.task import Image, Mask, Text


class Painter(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(8, (3, 3))(x))
        return nn.Conv(3, (3, 3))(x)


class TextEncoder(nn.Module):
    """The mean of what its words stand for: (B, L) numbers, 0 for none, to (B, 3) colours."""

    count: int

    @nn.compact
    def __call__(self, numbers):
        colours = nn.Embed(self.count + 1, 3, name="colours")(numbers)
        known = (numbers > 0)[..., None]
        return (colours * known).sum(1) / jnp.maximum(known.sum(1), 1)


def words_of(record):
    """Returns the words of a record's caption; the embedded photographs have a name instead."""
    return re.findall("[a-z]+", record.get("caption", record["id"]).lower())


def numbers_of(words, known):
    """Returns the numbers of the known among `words`, from 1 on, and zeros to fill up."""
    numbers = [known.index(word) + 1 for word in words if word in known][: Transform.length]
    return np.pad(np.asarray(numbers, np.int32), (0, Transform.length - len(numbers)))


class Transform:
    """One record to one sample: runs on the host, in any thread or process, so it is picklable."""

    length = 4  # words of a caption

    def __init__(self, size, train, words):
        self.size, self.train, self.words = size, train, words

    def __call__(self, record, rng):
        image = record["image"]
        spare = [side - self.size + 1 for side in image.shape[:2]]
        y, x = (int(rng.integers(0, n)) if self.train else 0 for n in spare)
        crop = image[y : y + self.size, x : x + self.size].astype(np.float32) / 127.5 - 1
        mask = np.zeros((self.size, self.size, 1), np.float32)
        top = int(rng.integers(0, self.size // 2))
        mask[top : top + self.size // 4, 2 : 2 + self.size // 2] = 1
        sample = {"image": crop, "mask": mask}
        if self.words:
            sample["words"] = numbers_of(words_of(record), self.words)
        return sample


class Toy(Method):
    def __init__(self, config, axis_name, artifacts):
        super().__init__(config, axis_name, artifacts)
        made = self.artifacts.get("colours")
        self.words = made.json("words.json") if made else []

    def build(self, source, folder, start, *, process_index=0, process_count=1):
        """Measures pictures in pieces of sixteen, each a file that a killed run need not redo."""
        count = min(len(source), self.config.build_records)
        pieces = range(process_index, -(-count // 16), process_count)
        for done, piece in enumerate(pieces, 1):
            path = folder / f"{piece:04}.json"
            if not path.exists():
                time.sleep(self.config.build_pause)
                records = [source[i] for i in range(16 * piece, min(16 * piece + 16, count))]
                found = [(words_of(r), r["image"].mean((0, 1)).tolist()) for r in records]
                atomic.write_text(path, json.dumps(found))
            yield done / len(pieces)

    def merge(self, parts, folder):
        """Writes the words, and the weights of a `TextEncoder` that knows their colours."""
        pieces = sorted((path for part in parts for path in part.iterdir()), key=lambda p: p.name)
        seen = {}
        for words, colour in (pair for path in pieces for pair in json.loads(path.read_text())):
            for word in words:
                seen.setdefault(word, []).append(colour)
        colours = np.asarray([[127.5] * 3, *(np.mean(seen[word], 0) for word in sorted(seen))])
        table = {"params/colours/embedding": (colours / 127.5 - 1).astype(np.float32)}
        safetensors.numpy.save_file(table, folder / "text.safetensors")
        (folder / "words.json").write_text(json.dumps(sorted(seen)))
        return {"words": len(seen), "pieces": len(pieces)}

    def networks(self):
        return {"painter": Painter(), "critic": Painter()}

    def optimizers(self, total_steps):
        return {name: optax.adam(self.config.optim.lr) for name in self.networks()}

    def spec(self, batch_size):
        size = self.config.image_size
        made = lambda *shape, kind=jnp.float32: jax.ShapeDtypeStruct((batch_size, *shape), kind)
        spec = {"image": made(size, size, 3), "mask": made(size, size, 1)}
        if self.words:
            spec["words"] = made(Transform.length, kind=jnp.int32)
        return spec

    def variables(self, rng, spec):
        x = jnp.zeros((1,) + spec["image"].shape[1:])
        params = {
            name: network.init(jax.random.fold_in(rng, i), x)["params"]
            for i, (name, network) in enumerate(self.networks().items())
        }
        return State(jnp.zeros((), jnp.int32), params, stats={"mean": jnp.zeros((3,))})

    def starting_values(self):
        """The frozen encoder of a stage that has words, whatever else the stage starts from."""
        return (("artifact:colours:text.safetensors", "frozen/text"),) if self.words else ()

    def averages(self, params):
        return {"painter": params["painter"]}

    def phases(self, step):
        return ("critic", "paint") if step % 2 else ("paint",)

    def told(self, state, batch):
        """Returns the picture with the colour of its words in the hole, without words black."""
        image, mask = batch["image"], batch["mask"]
        if not self.words:
            return image * (1 - mask)
        colours = TextEncoder(len(self.words)).apply(state.frozen["text"], batch["words"])
        return image * (1 - mask) + mask * colours[:, None, None]

    def update(self, state, batch, rng, *, phase):
        name = {"paint": "painter", "critic": "critic"}[phase]
        noise = 0.01 * jax.random.normal(rng, batch["image"].shape[1:])

        def loss(params, carried, batch):
            image = batch["image"]
            out = self.networks()[name].apply({"params": params}, self.told(state, batch) + noise)
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
        grads, mean = gradients.synchronise((grads, mean), self.axis_name)
        updates, opt = self.optimizers(1)[name].update(grads, state.opt[name], state.params[name])
        params = {**state.params, name: optax.apply_updates(state.params[name], updates)}
        ema = {"painter": optax.incremental_update(params["painter"], state.ema["painter"], 0.1)}
        weight = batch["image"].shape[0]
        opt = {**state.opt, name: opt}
        state = state.replace(params=params, opt=opt, stats={"mean": mean}, ema=ema)
        return state, {f"loss/{phase}": (value * weight, jnp.float32(weight))}

    def predict(self, state, inputs, rng, *, task):
        image, mask = inputs["image"], inputs["mask"]
        out = Painter().apply({"params": state.ema["painter"]}, self.told(state, inputs))
        return {"composite": image * (1 - mask) + out * mask, "prediction": out}

    def encode(self, texts):
        rows = [numbers_of(words_of({"caption": text, "id": ""}), self.words) for text in texts]
        return {"words": np.stack(rows)}

    @property
    def tasks(self):
        inputs = {"image": Image(), "mask": Mask()}
        if self.words:
            inputs["caption"] = Text(self.encode, default="")
        outputs = {"composite": Image(), "prediction": Image()}
        return {"inpaint": Task(inputs, outputs, multiple=4, minimum=8)}

    def transform(self, *, train):
        return Transform(self.config.image_size, train, self.words)

    def evaluations(self):
        return {"painting": Evaluation(
            "inpaint", "composite", "image", ("psnr", "l1"), groups=("low", "high"),
            group=lambda b: ["low" if m.mean() < 0.1 else "high" for m in b["mask"]],
            baselines={"grey": lambda b: b["image"] * (1 - b["mask"])}, best=("psnr", "max"),
        )}

    def pictures(self, batch, outputs):
        given = batch["image"] * (1 - batch["mask"])
        show = levels.of_picture
        return {"given": show(given), "result": show(outputs["composite"])}


# What the values of its keys may be; those of the core's that it does not read stay as they are.
BOUNDS = {
    "optim.lr": real(0, example=1e-2),
    "explode_at": whole(0, example=0),
    "build_records": whole(1, example=64),
    "build_pause": real(0, example=0.1),
    "precision.compute": one_of("float32"),
    "remat": one_of(False),
}


def create(config, axis_name=None, artifacts=None):
    return Toy(config, axis_name, artifacts)


def get_config(preset="demo"):
    config = common.base()
    config.update(preset=preset, method="tests.toy_method", image_size=16)
    config.optim = {"lr": 1e-2}
    config.explode_at = 0  # the step from which the loss is NaN
    config.build_records, config.build_pause = 64, 0.0  # pictures to measure; seconds a piece
    config.train.update(steps=12, batch_size=8, log_every=2, evaluate_every=4, checkpoint_every=4)
    config.evaluate.update(limit=16, limit_in_training=8)
    stages = (
        {"name": "colours", "build": True},
        {"name": "sketch", "overrides": {"train": {"steps": 6}}},
        {"name": "finish", "start": (("sketch:ema/painter", "params/painter"),)},
    )
    config.stages = choose_preset({"demo": (), "told": stages, "colours": stages[:1]}, preset)
    return config.lock()

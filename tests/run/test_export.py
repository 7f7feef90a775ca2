"""Every training phase and every `predict` lowers for TPU and CUDA: no such device is needed."""

import jax
import numpy as np
import pytest

from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.run import sharding
from tests import shrink
from tests.run.test_train import TOY

CONFIGS = {
    "toy": lambda: config_lib.load(TOY),
    **{name: (lambda name=name: shrink.scat(name)) for name in shrink.SCAT_VARIANTS},
    **{f"matting-{name}": (lambda name=name: shrink.matting(name))
       for name in shrink.MATTING_VARIANTS},
    **{f"sims-{name}": (lambda name=name: shrink.sims(name)) for name in shrink.SIMS_VARIANTS},
}


PLATFORMS = ("tpu", "cuda")  # traced once, lowered for each


@pytest.mark.parametrize("name", CONFIGS)
def test_phases_and_predictions_lower(name):
    config = CONFIGS[name]()
    method = method_lib.create(config)
    spec = method.spec(config.train.batch_size)
    key = jax.ShapeDtypeStruct((), jax.random.key(0).dtype)
    state = jax.eval_shape(lambda rng: method.init(rng, spec), jax.random.key(0))
    last = jax.ShapeDtypeStruct((), np.int32)
    for phase in sorted({phase for step in range(16) for phase in method.phases(step)}):
        function = jax.jit(sharding.phase_function(method, phase, None))
        exported = jax.export.export(function, platforms=PLATFORMS)(state, spec, key, last)
        assert exported.platforms == PLATFORMS
    for task in method.tasks:
        function = jax.jit(
            lambda state, inputs, rng, task=task: method.predict(state, inputs, rng, task=task)
        )
        inputs = {name: spec.get(name) or _picture(kind, spec)
                  for name, kind in method.tasks[task].inputs.items()}
        exported = jax.export.export(function, platforms=PLATFORMS)(state, inputs, key)
        assert exported.platforms == PLATFORMS


def _picture(kind, spec):
    """The shape of an input that no training batch holds: a picture of the size of those."""
    return jax.ShapeDtypeStruct((*spec["image"].shape[:3], kind.channels), np.float32)

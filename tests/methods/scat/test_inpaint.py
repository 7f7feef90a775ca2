"""The published generators behind `jaxedit inpaint --weights`."""

import functools

import jax
import numpy as np
import pytest

from jaxedit.methods.scat import inpaint
from jaxedit.methods.scat.generator import Generator
from jaxedit.run import drawing

SMALL = functools.partial(Generator, channels=4, blocks=1)


@pytest.mark.parametrize(
    "name, upsample", [("scat-places2", "nearest"), ("aotgan-celebahq", "bilinear_ac")]
)
def test_each_publication_has_its_own_upsampling(name, upsample, monkeypatch):
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (1, 36, 40, 3)).astype(np.float32)
    mask = np.zeros((1, 36, 40, 1), np.float32)
    mask[:, 3:20, 5:30] = 1
    variables = drawing.drawn(SMALL().init, jax.random.key(0), image, mask)
    asked = []
    monkeypatch.setattr(inpaint, "Generator", SMALL)
    monkeypatch.setattr(inpaint.convert, "load", lambda n: asked.append(n) or variables)
    predict, loaded, task = inpaint.published(name)
    assert asked == [name] and loaded is variables
    outputs = jax.jit(predict)(variables, {"image": image, "mask": mask}, jax.random.key(0))
    white = np.where(mask > 0, 1, image).astype(np.float32)
    expected = jax.jit(SMALL(upsample=upsample).apply)(variables, white, mask)
    np.testing.assert_allclose(outputs["prediction"], expected, atol=1e-6)
    np.testing.assert_array_equal(
        np.asarray(outputs["composite"])[mask[..., 0] == 0], image[mask[..., 0] == 0]
    )
    assert (task.multiple, task.minimum) == (4, 36)


def test_the_smallest_picture_is_the_smallest():
    generator = SMALL(rates=(1, 3))
    least = inpaint.task(generator, 64).minimum
    shapes = [(1, side, side, c) for side in (least, least - 4) for c in (3, 1)]
    init = lambda *arrays: jax.eval_shape(generator.init, jax.random.key(0), *arrays)
    init(np.zeros(shapes[0], np.float32), np.zeros(shapes[1], np.float32))
    with pytest.raises(Exception, match="above 12"):
        init(np.zeros(shapes[2], np.float32), np.zeros(shapes[3], np.float32))

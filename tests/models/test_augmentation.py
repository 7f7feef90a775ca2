"""Augmentation against plain NumPy and SciPy; what it leaves alone; how its strength adapts."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from jaxedit.models.stylegan2 import augmentation

SIDE = 12
NEUTRAL = {"mirror": 0, "turns": 0, "shift": (0, 0), "scale": 1, "rotation": 0, "stretch": 1,
           "second_rotation": 0, "fraction": (0, 0)}
GREY = {"brightness": 0, "contrast": 1, "reversal": 0, "hue": 0, "saturation": 1}
TAPS = augmentation._TAPS


def arguments(neutral, **changes):
    return {name: jnp.asarray([value], jnp.float32) for name, value in (neutral | changes).items()}


def picture(seed=0, smooth=0.0):
    x = np.random.default_rng(seed).standard_normal((SIDE, SIDE, 3))
    return scipy.ndimage.gaussian_filter(x, (smooth, smooth, 0), mode="mirror") if smooth else x


def affine(**changes):
    """The inverse map as plain matrices, the last transformation applied first."""
    v = NEUTRAL | changes
    scale = lambda x, y: np.diag([x, y, 1.0])
    rotate = lambda a: np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0],
                                 [0, 0, 1]])
    shift = lambda t: np.array([[1, 0, t[0]], [0, 1, t[1]], [0, 0, 1.0]])
    forward = [
        scale(1 - 2 * v["mirror"], 1), rotate(-math.pi / 2 * v["turns"]), shift(v["shift"]),
        scale(v["scale"], v["scale"]), rotate(-v["rotation"]),
        scale(v["stretch"], 1 / v["stretch"]), rotate(-v["second_rotation"]), shift(v["fraction"]),
    ]
    total = np.eye(3)
    for one in forward:
        total = one @ total
    return np.linalg.inv(total)


def restated(image, inverse):
    """Mirrored, enlarged, sampled and made small by SciPy."""
    rim = SIDE - 1
    x = np.pad(image, ((rim, rim), (rim, rim), (0, 0)), mode="reflect")
    taps = TAPS / TAPS.sum()
    for axis in (0, 1):
        length = 2 * x.shape[axis]
        x = scipy.signal.upfirdn(2 * taps, x, up=2, axis=axis)
        x = np.take(x, np.arange(5, 5 + length), axis)
    place = (np.arange(2 * SIDE + 12) + 1 - (SIDE + 6)) / 2
    grid = np.stack(np.broadcast_arrays(place[None, :], place[:, None], 1.0), -1)
    at = 2 * (grid @ inverse.T)[..., :2] - 1 + SIDE + 2 * rim
    x = np.stack([
        scipy.ndimage.map_coordinates(x[..., c], [at[..., 1], at[..., 0]], order=1,
                                      mode="grid-constant") for c in range(3)
    ], -1)
    for axis in (0, 1):
        x = np.apply_along_axis(lambda line: np.correlate(line, taps)[1::2], axis, x)
    return x


CHANGES = [
    {"mirror": 1}, {"turns": 1}, {"turns": 2}, {"turns": 3}, {"shift": (1, -1)},
    {"scale": 1.4}, {"scale": 0.6}, {"rotation": 0.7}, {"stretch": 1.3}, {"second_rotation": -1.2},
    {"fraction": (1.3, -0.4)}, {"shift": (14, 0)},
    {"mirror": 1, "turns": 3, "shift": (2, 1), "scale": 0.8, "rotation": 0.4, "stretch": 1.2,
     "second_rotation": -2.0, "fraction": (0.2, -1.7)},
]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda c: "-".join(c))
def test_each_map_of_pixels(changes):
    found = augmentation.geometry(**arguments(NEUTRAL, **changes))
    np.testing.assert_allclose(found[0], affine(**changes), atol=2e-6)
    moved = augmentation.transform(jnp.asarray(picture()[None], jnp.float32), found)
    np.testing.assert_allclose(moved[0], restated(picture(), affine(**changes)), atol=2e-5)


def test_what_the_maps_look_like():
    """Of a smooth picture, away from the rims: what NumPy calls a mirror image, a turn, a shift."""
    image = picture(1, smooth=2.0)
    seen = lambda **changes: np.asarray(augmentation.transform(
        jnp.asarray(image[None], jnp.float32),
        augmentation.geometry(**arguments(NEUTRAL, **changes)),
    ))[0, 3:-3, 3:-3]
    spread = image.std()
    for changes, expected in (
        ({"mirror": 1}, image[:, ::-1]), ({"turns": 1}, np.rot90(image, 1)),
        ({"shift": (1, 2)}, np.roll(image, (2, 1), (0, 1))),
    ):
        gap = np.abs(seen(**changes) - expected[3:-3, 3:-3]).max()
        assert gap < 0.1 * spread < 0.5 * np.abs(image - expected)[3:-3, 3:-3].max()


def test_the_filter():
    """Enlarging and making small again by an orthogonal filter changes nothing."""
    assert np.square(TAPS).sum() == pytest.approx(1, abs=1e-9)
    for lag in (2, 4, 6, 8, 10):
        assert TAPS[lag:] @ TAPS[:-lag] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(restated(picture(), np.eye(3)), picture(), atol=1e-9)


def test_each_map_of_colours():
    image = picture(2)
    seen = lambda **changes: np.asarray(augmentation.recolour(
        jnp.asarray(image[None], jnp.float32), augmentation.colours(**arguments(GREY, **changes))
    ))[0]
    grey = image.mean(-1, keepdims=True)
    axis = np.ones(3) / math.sqrt(3)
    turned = (image * math.cos(0.8) + np.cross(axis, image) * math.sin(0.8)
              + grey * (1 - math.cos(0.8)))
    for changes, expected in (
        ({"brightness": 0.3}, image + 0.3), ({"contrast": 1.7}, image * 1.7),
        ({"reversal": 1}, image - 2 * grey), ({"hue": 0.8}, turned),
        ({"saturation": 0.4}, grey + 0.4 * (image - grey)),
        ({"brightness": 0.3, "contrast": 2.0, "reversal": 1},
         2 * (image + 0.3) - 4 * (grey + 0.3)),
    ):
        np.testing.assert_allclose(seen(**changes), expected, atol=1e-5)


@pytest.fixture(scope="module")
def augment():
    return jax.jit(augmentation.augment, static_argnames="pipe")


def test_strength_is_the_probability(augment):
    """0 is the identity to the bit; in between, so many pictures are touched as should be."""
    image = jnp.asarray(np.random.default_rng(3).uniform(-1, 1, (4, SIDE, SIDE, 3)), jnp.float32)
    for pipe in augmentation.PIPES:
        same = augment(image, jax.random.key(0), jnp.float32(0), pipe=pipe)
        assert np.asarray(same).tobytes() == np.asarray(image).tobytes()
    moved = augment(image, jax.random.key(0), jnp.float32(1))
    assert np.abs(np.asarray(moved - image)).max((1, 2, 3)).min() > 0.01

    count = 4000
    drawn = augmentation.draw_geometry(jax.random.key(1), (count, 64, 64, 3), jnp.float32(0.3))
    drawn |= augmentation.draw_colours(jax.random.key(2), count, jnp.float32(0.3))
    neutral = NEUTRAL | GREY
    assert drawn.keys() == neutral.keys()
    for name, values in drawn.items():
        touched = np.asarray(values != jnp.asarray(neutral[name])).reshape(count, -1).any(1).mean()
        expected = 0.3 * {"mirror": 1 / 2, "turns": 3 / 4, "reversal": 1 / 2}.get(name, 1)
        if "rotation" in name:
            expected = 1 - math.sqrt(0.7)
        assert touched == pytest.approx(expected, abs=0.03), name
    strong = augmentation.draw_geometry(jax.random.key(1), (count, 64, 64, 3), jnp.float32(1))
    strong |= augmentation.draw_colours(jax.random.key(2), count, jnp.float32(1))
    for name, values in (
        ("scale", 0.2), ("stretch", 0.2), ("contrast", 0.5), ("saturation", 1.0),
    ):
        assert np.log2(strong[name]).std() == pytest.approx(values, rel=0.06)
    assert strong["brightness"].std() == pytest.approx(0.2, rel=0.06)
    assert strong["fraction"].std() == pytest.approx(8, rel=0.06)
    assert np.abs(strong["shift"]).max() == 8 and np.abs(strong["rotation"]).max() > 3.1
    # None depends on another: of a sample, scale and rotation are drawn from keys of their own.
    assert abs(np.corrcoef(strong["scale"], strong["stretch"])[0, 1]) < 0.06
    assert abs(np.corrcoef(strong["mirror"], strong["reversal"])[0, 1]) < 0.06


def test_gradients_flow_to_any_order(augment):
    """It is linear in the pictures but for a constant: so are derivatives of any order."""
    image, other = (
        jnp.asarray(np.random.default_rng(s).standard_normal((2, SIDE, SIDE, 3)), jnp.float32)
        for s in (4, 5)
    )
    run = lambda x: augment(x, jax.random.key(6), jnp.float32(1))
    gradient = jax.grad(lambda x: (other * run(x)).sum())(image)
    moved = (other * (run(image + other) - run(image))).sum()
    assert (gradient * other).sum() == pytest.approx(float(moved), rel=1e-3)
    square = jax.grad(lambda y: jnp.square(jax.grad(lambda x: (y * run(x)).sum())(image)).sum())
    again = run(2 * gradient) - run(jnp.zeros_like(image))
    np.testing.assert_allclose(square(other), again, atol=1e-3)


def test_strength_goes_where_it_should():
    adapt = lambda carried, signs, count=64: augmentation.adapted(
        carried, jnp.float32(signs), count, target=0.6, every=128, speed=1000.0
    )
    sure = adapt(augmentation.start(0.5), 50)
    assert sure["strength"] == 0.5 and sure["count"] == 64  # too few yet
    sure = adapt(sure, 40)
    assert sure["strength"] == pytest.approx(0.628) and sure["count"] == sure["signs"] == 0
    unsure = adapt(adapt(augmentation.start(0.5), 50), 20)  # .55 on average
    assert unsure["strength"] == pytest.approx(0.372)
    assert adapt(augmentation.start(0.0), -100, 200)["strength"] == 0
    assert adapt(augmentation.start(0.99), 200, 200)["strength"] == 1

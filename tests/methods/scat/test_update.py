"""The training step on tiny networks: order, terms, skipping, accumulation, both kinds of step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxedit.errors import UserError
from jaxedit.layers import spectral
from jaxedit.losses import adversarial
from jaxedit.method import State
from jaxedit.methods.scat import contrastive, discriminators, update
from jaxedit.methods.scat.generator import Generator, composite, corrupt
from jaxedit.methods.scat.objectives import Settings
from jaxedit.methods.scat.patch_discriminator import PatchDiscriminator
from jaxedit.models.vgg import VGG

RNG = np.random.default_rng(0)
BATCH = {
    "image": np.tanh(RNG.standard_normal((4, 64, 64, 3))).astype(np.float32),
    "mask": np.repeat(np.repeat(RNG.random((4, 4, 4, 1)) > 0.5, 16, 1), 16, 2).astype(np.float32),
}
WIDTH = 2  # of the discriminators: 32 pooled features


def networks_for(settings, *, spectral_norm=False, dtype=jnp.float32):
    networks = {"generator": Generator(4, 1, (1, 2), dtype=dtype)}
    if settings.patch:
        networks["discriminator"] = PatchDiscriminator(WIDTH, spectral_norm, dtype)
    elif settings.uses_discriminator:
        networks["discriminator"] = discriminators.create(
            "unet", channels=WIDTH, spectral_norm=spectral_norm, dtype=dtype
        )
    if settings.semantic:
        networks["head"] = contrastive.ProjectionHead(8)
    if settings.uses_vgg:
        networks["vgg19"] = VGG(19, channels=1, dtype=dtype)
    return networks


def start(settings, networks, optimizers):
    """Returns a state with weights of ordinary size, drawn without compiling initialisers."""
    rng = np.random.default_rng(1)

    def draw(shape):
        scale = max(1, int(np.prod(shape.shape[:-1]))) ** -0.5 if len(shape.shape) > 1 else 0.1
        return jnp.asarray(scale * rng.standard_normal(shape.shape), shape.dtype)

    initial = functools.partial(update.initial_variables, networks, size=(64, 64))
    params, stats = jax.tree.map(draw, jax.eval_shape(initial, jax.random.key(0)))
    frozen = {}
    if "vgg19" in networks:
        variables = jax.eval_shape(networks["vgg19"].init, jax.random.key(0), BATCH["image"])
        frozen["vgg19"] = jax.tree.map(draw, variables)
    return State(
        step=jnp.zeros((), jnp.int32),
        params=params,
        stats=stats,
        opt=update.initial_optimizer_states(params, optimizers),
        ema={"generator": params["generator"]} if settings.ema_decay else {},
        frozen=frozen,
    )


def prepare(settings, lr=0.1, **options):
    """Returns (networks, first state, step function)."""
    networks = networks_for(settings, **options)
    optimizer = optax.sgd(lr) if lr else optax.set_to_zero()
    optimizers = {"generator": optimizer, "discriminator": optimizer}
    step = functools.partial(
        update.training_step, networks=networks, optimizers=optimizers, settings=settings
    )
    return networks, start(settings, networks, optimizers), step


def values(sums):
    return {name: float(value / weight) for name, (value, weight) in sums.items()}


@pytest.fixture(scope="module")
def published():
    """(networks, state before, state after, logged values) of SCAT's step, no normalisation."""
    networks, before, step = prepare(Settings(ema_decay=0.75))
    after, sums = jax.jit(step)(before, BATCH)
    return networks, *jax.device_get((before, after)), values(sums)


def convolutions(jaxpr):
    """Counts the convolutions in a program, nested ones included."""
    total = 0
    for equation in jaxpr.eqns:
        total += equation.primitive.name == "conv_general_dilated"
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                total += convolutions(inner) if hasattr(inner, "eqns") else 0
    return total


@functools.cache
def traced(settings):
    """Returns (networks, number of convolutions, names of what is logged) of a whole step."""
    networks, state, step = prepare(settings)
    program, (_, sums) = jax.make_jaxpr(step, return_shape=True)(state, BATCH)
    return networks, convolutions(program.jaxpr), frozenset(sums)


NOTHING = dict(global_adversarial=0.0, segmentation=0.0, textural=0.0, semantic=0.0)


@pytest.mark.parametrize(
    ("changes", "terms"),
    [
        ({}, "global_d segmentation_d l1 global_g segmentation_g textural semantic"),
        ({"segmentation": 0.0}, "global_d l1 global_g textural semantic"),
        ({"global_adversarial": 0.0}, "segmentation_d l1 segmentation_g textural semantic"),
        ({"textural": 0.0}, "global_d segmentation_d l1 global_g segmentation_g semantic"),
        ({"semantic": 0.0}, "global_d segmentation_d l1 global_g segmentation_g textural"),
        ({"l1": 0.0}, "global_d segmentation_d global_g segmentation_g textural semantic"),
        ({"global_adversarial": 0.0, "segmentation": 0.0}, "l1 textural semantic"),
        (NOTHING, "l1"),
        (NOTHING | {"perceptual": 0.1}, "l1 perceptual"),
        (NOTHING | {"style": 250.0}, "l1 style"),
        (NOTHING | {"patch": 1.0, "patch_kind": "hinge"}, "patch_d patch_g l1"),
    ],
)
def test_terms_of_weight_zero_are_not_computed(changes, terms):
    settings = Settings(**changes)
    networks, count, logged = traced(settings)
    assert {name for name in logged if name.startswith("loss/")} == {
        f"loss/{term}" for term in terms.split()
    }
    assert ("grad_norm/discriminator" in logged) == settings.trains_discriminator
    if changes and not settings.uses_vgg and not settings.patch:
        saved = traced(Settings())[1] - count
        # The reconstruction needs no convolution, and the global head shares the encoder.
        assert (saved > 0) == (changes not in ({"l1": 0.0}, {"global_adversarial": 0.0}))


def test_without_adversaries_only_the_generator_runs():
    networks, count, _ = traced(Settings(**NOTHING))
    assert set(networks) == {"generator"}
    _, state, _ = prepare(Settings(**NOTHING))

    def loss(params):
        x = corrupt(BATCH["image"], BATCH["mask"])
        prediction = networks["generator"].apply({"params": params}, x, BATCH["mask"])
        return jnp.mean(jnp.abs(prediction - BATCH["image"]))

    alone = jax.make_jaxpr(jax.grad(loss))(state.params["generator"])
    assert count == convolutions(alone.jaxpr)


def test_generator_meets_the_updated_discriminator(published):
    networks, before, after, logged = published
    image, mask = BATCH["image"], BATCH["mask"]

    @jax.jit
    def adversarial_terms(generator, discriminator):
        prediction = networks["generator"].apply(
            {"params": generator}, corrupt(image, mask), mask
        )
        fake = composite(image, prediction, mask)
        judge = lambda x: networks["discriminator"].apply({"params": discriminator}, x)
        return judge(fake), judge(image), prediction

    of_fake, of_real, prediction = adversarial_terms(
        before.params["generator"], before.params["discriminator"]
    )
    loss = adversarial.discriminator_loss("hinge", of_real.global_logits, of_fake.global_logits)
    assert logged["loss/global_d"] == pytest.approx(float(loss), rel=1e-4)
    assert logged["loss/l1"] == pytest.approx(
        10 * float(np.abs(prediction - image).mean()), rel=1e-4
    )
    later, _, _ = adversarial_terms(before.params["generator"], after.params["discriminator"])
    assert logged["loss/global_g"] == pytest.approx(
        -float(later.global_logits.mean()), rel=1e-3
    )
    assert logged["loss/segmentation_g"] == pytest.approx(
        -float((mask * later.pixel_logits).mean()), rel=1e-3
    )
    # The two discriminators differ enough for the order to show.
    assert abs(later.global_logits.mean() - of_fake.global_logits.mean()) > 1e-2


def test_every_network_is_trained(published):
    _, before, after, logged = published
    for name in ("generator", "discriminator", "head"):
        moved = jax.tree.map(
            lambda a, b: np.abs(a - b).max(), before.params[name], after.params[name]
        )
        assert max(jax.tree.leaves(moved)) > 0, name
    for name in ("generator", "discriminator"):
        # Plain gradient descent: the step is the rate times the gradient.
        difference = jax.tree.map(np.subtract, before.params[name], after.params[name])
        norm = np.sqrt(sum(np.square(x).sum() for x in jax.tree.leaves(difference)))
        assert logged[f"grad_norm/{name}"] == pytest.approx(norm / 0.1, rel=1e-3)


def test_average_of_the_generator(published):
    _, before, after, _ = published
    expected = jax.tree.map(
        lambda a, b: 0.75 * a + 0.25 * b, before.params["generator"], after.params["generator"]
    )
    for a, b in zip(
        jax.tree.leaves(after.ema["generator"]), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_contrastive_terms_do_not_train_the_discriminator(published):
    _, _, after, _ = published
    _, state, step = prepare(Settings(textural=0.0, semantic=0.0))
    without, _ = jax.jit(step)(state, BATCH)
    for a, b in zip(
        jax.tree.leaves(without.params["discriminator"]),
        jax.tree.leaves(after.params["discriminator"]),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, 7),  # D: composite, image; G: composite; composite, image, corrupted, negatives
        ({"semantic_negatives": "own"}, 6),
        ({"textural": 0.0}, 6),
        ({"textural": 0.0, "semantic": 0.0}, 3),
    ],
)
def test_power_iterations_of_a_step(changes, passes, monkeypatch):
    """Each pass adds 1 to the vectors instead of iterating: the sum tells how many there were."""
    monkeypatch.setattr(spectral, "iterate", lambda params, vectors: jax.tree.map(
        lambda v: v + 1, vectors
    ))
    _, state, step = prepare(Settings(**changes), lr=0.0, spectral_norm=True)
    # Only the vectors are looked at: the compiler leaves the rest out.
    found = jax.jit(lambda s, b: step(s, b)[0].stats["discriminator"])(state, BATCH)
    before = state.stats["discriminator"]
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(before), strict=True):
        np.testing.assert_allclose(a, b + passes, atol=1e-5)


def test_accumulation_of_sample_means_equals_the_whole_batch():
    changes = dict(segmentation=0.0, textural=0.0, semantic_negatives="own")
    _, state, step = prepare(Settings(**changes))
    whole, sums = jax.jit(step)(state, BATCH)
    _, state, step = prepare(Settings(**changes, accumulate=2))
    parts, sums_of_parts = jax.jit(step)(state, BATCH)
    assert values(sums) == pytest.approx(values(sums_of_parts), rel=1e-3)
    for a, b in zip(
        jax.tree.leaves(whole.params), jax.tree.leaves(parts.params), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_step_of_aotgan():
    settings = Settings.aotgan(patch=0.5)
    networks, state, step = prepare(settings)
    after, sums = jax.jit(step)(state, BATCH)
    logged = values(sums)
    assert {n for n in logged if n.startswith("loss/")} == {
        f"loss/{term}" for term in ("l1", "perceptual", "style", "patch_d", "patch_g")
    }
    image, mask = BATCH["image"], BATCH["mask"]

    @jax.jit
    def discriminator_gradient(generator, discriminator):
        prediction = networks["generator"].apply(
            {"params": generator}, corrupt(image, mask), mask
        )
        fake = composite(image, prediction, mask)

        def total(params):
            judge = lambda x: networks["discriminator"].apply({"params": params}, x)
            of_generator = 0.5 * adversarial.smgan_generator_loss(judge(fake), mask)
            return (
                adversarial.smgan_discriminator_loss(judge(image), judge(fake), mask)
                + of_generator,
                of_generator,
            )

        return jax.grad(total, has_aux=True)(discriminator)

    # Both losses of the published code reach the discriminator, which is updated afterwards.
    gradient, of_generator = discriminator_gradient(
        state.params["generator"], state.params["discriminator"]
    )
    assert logged["loss/patch_g"] == pytest.approx(float(of_generator), rel=1e-4)
    moved = jax.tree.map(
        jnp.subtract, state.params["discriminator"], after.params["discriminator"]
    )
    for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(gradient), strict=True):
        np.testing.assert_allclose(a, 0.1 * b, atol=1e-5)
    for name in ("l1", "perceptual", "style"):
        assert logged[f"loss/{name}"] > 0


def test_bfloat16_step_keeps_float32_state():
    settings = Settings(segmentation=0.0, textural=0.0, semantic=0.0)
    _, state, step = prepare(settings, lr=1e-3, spectral_norm=True, dtype=jnp.bfloat16)
    after, sums = jax.jit(step)(state, BATCH)
    assert all(np.isfinite(value) for value in values(sums).values())
    assert {leaf.dtype for leaf in jax.tree.leaves((after.params, after.stats))} == {
        jnp.dtype("float32")
    }
    assert {leaf.dtype for leaf in jax.tree.leaves(sums)} == {jnp.dtype("float32")}


def test_gradients_are_averaged_over_a_mapped_axis():
    settings = Settings(**NOTHING)
    networks, state, step = prepare(settings)
    whole, _ = jax.jit(step)(state, BATCH)
    halves = {name: x.reshape(2, 2, *x.shape[1:]) for name, x in BATCH.items()}
    mapped = jax.vmap(
        functools.partial(step, axis_name="batch"), in_axes=(None, 0), axis_name="batch"
    )
    after, _ = jax.jit(mapped)(state, halves)
    for a, b in zip(
        jax.tree.leaves(after.params), jax.tree.leaves(whole.params), strict=True
    ):
        np.testing.assert_allclose(a[0], a[1], atol=0)
        np.testing.assert_allclose(a[0], b, atol=1e-5)


def test_settings_that_make_no_sense():
    with pytest.raises(UserError, match="set patch to 0, or global_adversarial"):
        Settings(patch=1.0)

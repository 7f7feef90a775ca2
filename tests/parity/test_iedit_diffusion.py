"""The networks, schedules and samplers of latent diffusion against the published ones."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.models import autoencoder_kl
from jaxedit.models.autoencoder_kl import AutoencoderKL
from jaxedit.models.diffusion import names, sampling
from jaxedit.models.diffusion.configs import AutoencoderConfig, UNetConfig
from jaxedit.models.diffusion.schedule import Schedule
from jaxedit.models.unet import UNet, time_features
from jaxedit.weights import table
from tests.parity import golden
from tests.parity.iedit_files import load

_GUIDED = {"unet", "scheduler", "steps", "guidance_scale", "eta"}


def files(family):
    return pytest.mark.parametrize("path", golden.goldens(family, "iedit"), ids=golden.name_of)


def filled(file, module, *inputs, prepare=dict):
    """Returns the module's variables; every published name must find its place."""
    expected = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    entries = names.conversion_table(expected)
    return table.to_jax(entries, prepare(file.published()), expected, file.path.name)


@files("vae")
def test_iedit_autoencoder(path):
    file = load(path)
    module = AutoencoderKL(AutoencoderConfig.from_published(file.config))
    image, latent = file.input("image"), file.input("latent")
    variables = filled(file, module, image, prepare=names.prepare_autoencoder)
    moments = jax.jit(functools.partial(module.apply, method="encode"))(variables, image)
    mean, log_variance = autoencoder_kl.distribution(moments)
    decode = jax.jit(functools.partial(module.apply, method="decode"))
    drawn = autoencoder_kl.draw(moments, file.input("posterior_noise"))
    file.compare({
        "moments": moments,
        "posterior_mean": mean,
        "posterior_logvar": log_variance,
        "scaled_sample": module.to_diffusion(drawn),
        "decoded": decode(variables, latent),
        "reconstruction": decode(variables, mean),
        "decoded_scaled": decode(variables, module.from_diffusion(0.9 * latent)),
    })


@files("unet")
def test_iedit_unet(path):
    file = load(path)
    config = UNetConfig.from_published(file.config)
    module = UNet(config)
    inputs = [file.input(name) for name in ("sample", "timestep", "encoder_hidden_states")]
    variables = filled(file, module, *inputs)
    taps = {name: _place(name) for name in file.outputs - {"noise_pred", "time_proj"}}

    @jax.jit
    def predict(variables, *inputs):
        result, state = module.apply(variables, *inputs, capture_intermediates=True)
        found = {"noise_pred": result}
        for name, place in taps.items():
            tapped = state["intermediates"]
            for key in place:
                tapped = tapped[key]
            found[name] = tapped["__call__"][0]
        return found

    found = predict(variables, *inputs)
    found["time_proj"] = time_features(
        jnp.asarray(inputs[1]), config.block_out_channels[0],
        cosine_first=config.flip_sin_to_cos, shift=config.freq_shift,
    )
    file.compare(found)


def _place(name):
    """`down0_resnet1` -> ("down_blocks_0", "resnets_1")."""
    if found := re.fullmatch(r"(down|up)(\d+)_(resnet|attention)(\d+)", name):
        return f"{found[1]}_blocks_{found[2]}", f"{found[3]}s_{found[4]}"
    return (name,)


@files("schedule")
def test_iedit_schedule(path):
    file = load(path)
    schedule = Schedule.from_published(file.config)
    index, time = file.input("index"), jnp.asarray(file.input("t"))
    found = {
        "betas": schedule.betas[index],
        "alphas_cumprod": schedule.signal[index],
        "alphas_cumprod_all_every_25": schedule.signal[::25],
        "q_sample": schedule.add_noise(file.input("z0"), file.input("noise"), time),
    }
    for name in file.outputs:
        if steps := re.fullmatch(r"(sampling|inversion)_timesteps_(\d+)", name):
            times = schedule.timesteps(int(steps[2]))
            found[name] = times if steps[1] == "sampling" else times[::-1]
    file.compare(found)


@files("cfg")
def test_iedit_guidance(path):
    file = load(path)
    assert set(file.config) == {"scales"}
    file.compare({
        f"guided_{scale}": sampling.guide(file.input("eps_uncond"), file.input("eps_cond"), scale)
        for scale in file.config["scales"]
    })


@functools.cache
def sampler(config, schedule, steps):
    """Returns compiled functions; files of one configuration share them.

    `sample` always blends: with a mask of ones it samples freely.
    """
    module = UNet(config)

    def network(variables):
        return lambda latents, time, text: module.apply(variables, latents, time, text)

    @jax.jit
    def sample(variables, latents, text, negative, guidance, moves, mask, levels):
        predict = sampling.guided(network(variables), text, negative, guidance)
        blend = sampling.Blend(mask, levels)
        return sampling.sample(schedule, predict, latents, steps, moves=moves, blend=blend)

    @jax.jit
    def sample_under(variables, latents, text):
        predict = sampling.conditioned(network(variables), text)
        return sampling.sample(schedule, predict, latents, steps)

    @jax.jit
    def invert(variables, latents, text, moves):
        predict = sampling.conditioned(network(variables), text)
        return sampling.invert(schedule, predict, latents, steps, moves=moves)

    return sample, sample_under, invert


def opened(path, start):
    """Returns the file, its schedule, variables, steps, compiled functions and text states."""
    file = load(path)
    assert set(file.config) == _GUIDED and file.config["eta"] == 0
    config = UNetConfig.from_published(file.config["unet"])
    schedule, steps = Schedule.from_published(file.config["scheduler"]), file.config["steps"]
    text, negative = file.input("cond"), file.input("uncond")
    latents = file.input(start)
    time = np.zeros(len(latents), np.int32)
    variables = jax.tree.map(jnp.asarray, filled(file, UNet(config), latents, time, text))
    return (file, schedule, variables, steps, sampler(config, schedule, steps),
            (latents, text, negative))


@files("ddim_sampling")
def test_iedit_sampling(path):
    file, schedule, variables, steps, compiled, (noise, text, negative) = opened(path, "z_T")
    sample, sample_under, _ = compiled
    free = jnp.ones((*noise.shape[:3], 1)), jnp.zeros((steps, *noise.shape))
    guidance = file.config["guidance_scale"]
    end, guided = sample(variables, noise, text, negative, guidance, steps, *free)
    np.testing.assert_array_equal(end, guided.latents[-1])
    _, unguided = sample_under(variables, noise, text)
    first = len(file.arrays["out.noise_guided"])
    file.compare({
        "timesteps": schedule.timesteps(steps),
        "trajectory_guided": np.concatenate([noise[None], guided.latents]),
        "pred_x0_guided": guided.clean,
        "noise_guided": guided.predictions[:first],
        "trajectory_unguided": np.concatenate([noise[None], unguided.latents]),
        "pred_x0_unguided": unguided.clean[-1],
    })




@files("ddim_inversion")
def test_iedit_inversion(path):
    file, schedule, variables, steps, compiled, (clean, text, negative) = opened(path, "z_0")
    sample, sample_under, invert = compiled
    ratio = float(re.search(r"Encoding ratio ([\d.]+\d)", file.info["note"])[1])
    moves = int(sampling.moves_of(ratio, steps))
    guidance, mask = file.config["guidance_scale"], jnp.asarray(file.input("mask"))

    def path_from(start, made, count):
        return np.concatenate([np.asarray(start)[None], made.latents[steps - count:]])

    def edit(start, mask, levels):
        _, made = sample(variables, start, text, negative, guidance, moves, mask, levels)
        return path_from(start, made, moves)

    end, whole = invert(variables, clean, text, steps)
    part_end, part = invert(variables, clean, text, moves)
    again, _ = sample_under(variables, end, text)
    noise = file.input("start_noise")
    start = sampling.noised_start(schedule, clean, noise, steps, moves)
    levels, free = sampling.inverted_levels(clean, part), jnp.ones_like(mask)
    blended = edit(part_end, mask, levels)
    outside = np.broadcast_to(np.asarray(mask) == 0, clean.shape)
    np.testing.assert_array_equal(blended[-1][outside], clean[outside])
    file.compare({
        "inversion_timesteps": schedule.timesteps(steps)[::-1],
        "inversion": np.concatenate([clean[None], whole.latents]),
        "reconstruction": again,
        "partial_inversion": np.concatenate([clean[None], part.latents[:moves]]),
        "partial_edit": edit(part_end, free, levels),
        "partial_edit_blended": blended,
        "stochastic_start": start,
        "stochastic_edit": edit(start, free, levels),
    })

"""SDIC's optimizer, losses and code edits against the published ones."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxedit.methods.sdic import editing, losses
from jaxedit.models import alexnet, lpips
from jaxedit.optim.ranger import ranger
from jaxedit.weights import table
from tests.parity import fill, golden
from tests.parity.sdic_files import SdicFile

_RANGER = {
    "lr", "alpha", "k", "N_sma_threshold", "betas", "eps", "weight_decay", "steps_saved"
}


@pytest.mark.parametrize("path", golden.goldens("ranger", "sdic"), ids=golden.name_of)
def test_sdic_ranger(path):
    file = SdicFile(path)
    config, described = file.config, file.info["inputs"]
    assert set(config) == _RANGER
    assert set(described) == {"param_<name>", "grad_<name>_<t>"}
    shapes = described["param_<name>"]["shape"]
    draw = lambda what, key: {
        name: jnp.asarray(fill.make_input(what.replace("<name>", name), tuple(shape),
                                          described[key]["salt"]))
        for name, shape in shapes.items()
    }
    optimizer = ranger(
        config["lr"], betas=tuple(config["betas"]), epsilon=config["eps"],
        weight_decay=config["weight_decay"], lookahead=config["k"], alpha=config["alpha"],
        threshold=config["N_sma_threshold"], output_axis=0,
    )
    params = draw("param_<name>", "param_<name>")
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, gradient):
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    kept = []
    for number in range(1, max(config["steps_saved"]) + 1):
        gradient = draw(f"grad_<name>_{number}", "grad_<name>_<t>")
        params, state = step(params, state, gradient)
        if number in config["steps_saved"]:
            kept.append(params)
    for name in shapes:  # arrays of several steps: no maps, whatever their axes
        gap = np.abs(np.stack([one[name] for one in kept]) - file.arrays[name]).max()
        assert gap <= file.info["limits"][name]
    assert set(shapes) == set(file.arrays)


@pytest.mark.parametrize("path", golden.goldens("losses", "sdic"), ids=golden.name_of)
def test_sdic_losses(path):
    file = SdicFile(path)
    assert set(file.config) == {"l2", "lpips", "compensation"}
    settings = losses.Settings(
        l2=file.config["l2"], perceptual=file.config["lpips"], identity=0.0,
        compensation=file.config["compensation"],
    )
    assert "0.8 MSE(feature_out" in file.info["outputs"]["loss_f"]["what"]
    assert settings.feature_share == 0.8
    published = file.published()
    names = lambda start, new: {
        new + name.removeprefix(start): array for name, array in published.items()
        if name.startswith(start)
    }
    backbone = table.to_jax(
        alexnet.conversion_table(), names("net.layers.", "features."),
        jax.eval_shape(alexnet.AlexNet().init, jax.random.key(0), jnp.zeros((1, 64, 64, 3))),
    )
    heads = table.to_jax(lpips.conversion_table(), {
        f"lin{index}.model.1.weight": published[f"lin.{index}.1.weight"] for index in range(5)
    })
    y, y_hat = (golden.to_nhwc(file.input(name, "y_hat, y")) for name in ("y", "y_hat"))
    feature, feature_out = (
        golden.to_nhwc(file.input(n, "feature_out, feature")) for n in ("feature", "feature_out")
    )
    codes, codes_out = (file.input(n, "codes_out, codes") for n in ("codes", "codes_out"))
    found = {
        "feature": feature, "compensated_feature": feature_out,
        "codes": codes, "compensated_codes": codes_out,
    }

    @jax.jit
    def run(backbone, heads):
        frozen = {losses.PERCEPTUAL: {"backbone": backbone, "heads": heads}}
        total, terms = losses.objective(settings, frozen, y, y_hat, found)
        # The distance is linear in its heads: one layer's is that with the others at nothing.
        layers = [
            lpips.distance("alex", {"backbone": backbone, "heads": {"params": {
                name: kernel * (name == f"linear_{index}")
                for name, kernel in heads["params"].items()
            }}}, y_hat, y)
            for index in range(5)
        ]
        return total, terms, jnp.stack(layers, 1)

    total, terms, layers = run(backbone, heads)
    one = lambda value: np.reshape(value, 1)
    file.compare_all({
        "lpips": one(terms["lpips_alex"] / settings.perceptual),
        "lpips_layers": layers,
        "l2": one(terms["l2"] / settings.l2),
        "loss_f": one(terms["compensation"] / settings.compensation),
        "total_without_id": one(total),
    })


@pytest.mark.parametrize("path", golden.goldens("ganspace", "sdic"), ids=golden.name_of)
def test_sdic_ganspace(path):
    file = SdicFile(path)
    config, inputs = file.config, file.info["inputs"]
    assert set(config) == {"component", "start", "end", "strength"}
    assert inputs["pca_std"].pop("then") == "absolute value plus 0.5"
    draw = lambda name, shape, factor=1.0: factor * fill.make_input(name, tuple(shape), file.salt)
    vectors, deviations = inputs["pca_comp"], inputs["pca_std"]
    assert set(vectors) == {"shape", "scale"} and set(deviations) == {"shape"}
    components = editing.Components(
        draw("pca_mean", inputs["pca_mean"]),
        draw("pca_comp", vectors["shape"], np.float32(vectors["scale"])),
        np.abs(draw("pca_std", deviations["shape"])) + np.float32(0.5),
    )
    edited = editing.ganspace(
        draw("latents", inputs["latents"]), components, config["component"],
        (config["start"], config["end"]), config["strength"],
    )
    file.compare_all({"edited": np.asarray(edited)})

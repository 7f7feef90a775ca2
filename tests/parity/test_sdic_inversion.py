"""SDIC as a whole against the published code: inversion, compensation and an edit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.methods.sdic import e4e, editing, weights
from jaxedit.methods.sdic.dicn import DICN
from jaxedit.methods.sdic.dipn import DIPN
from jaxedit.methods.sdic.inversion import Inversion
from jaxedit.models.stylegan2 import tables
from jaxedit.models.stylegan2.generator import Generator
from jaxedit.weights import table
from tests import memory
from tests.parity import golden
from tests.parity.sdic_files import SdicFile


def load(file, image):
    """Returns the networks and their variables, each by its conversion table."""
    published = file.published()
    parts = {
        prefix: {n.removeprefix(prefix): a for n, a in published.items() if n.startswith(prefix)}
        for prefix in ("encoder.", "decoder.", "SAF.", "DIP.")
    }
    assert sum(map(len, parts.values())) == len(published)
    del published
    shapes = {
        prefix: {name: array.shape for name, array in part.items()}
        for prefix, part in parts.items()
    }
    described = tables.describe_generator(shapes["decoder."])
    assert described["size"] == file.config["stylegan_size"]
    tapped = next(n for n in file.arrays if n.startswith("feature") and n[7:].isdigit())
    networks = Inversion(
        e4e.encoder_of(described["size"], style_width=described["style_width"]),
        Generator(**described),
        DIPN(),
        DICN(**weights.describe_dicn(shapes["SAF."], described["style_width"])),
        tap=int(tapped.removeprefix("feature")),
        height=image.shape[1],
    )
    assert networks.encoder.codes == file.config["n_latent"]
    code = np.zeros((1, described["style_width"]), np.float32)
    codes = np.zeros((1, networks.encoder.codes, described["style_width"]), np.float32)
    _, feature = jax.eval_shape(
        lambda: networks.generate(
            {"generator": networks.generator.init(jax.random.key(0), code)}, codes
        )
    )
    variables = {}
    for name, prefix, names, prepare, inputs in (
        ("encoder", "encoder.", e4e.encoder_table(networks.encoder.codes), dict, (image,)),
        ("generator", "decoder.",
         tables.generator_table(described["size"], described["mapping_layers"]),
         tables.prepare_generator, (code,)),
        ("dicn", "SAF.", weights.dicn_table(), weights.prepare_dicn, (image, feature, codes)),
        ("dipn", "DIP.", weights.dipn_table(), weights.prepare_dipn, (image, image)),
    ):
        expected = jax.eval_shape(getattr(networks, name).init, jax.random.key(0), *inputs)
        # Each part in its turn, and the published one given back: together they are gigabytes.
        ours = table.to_jax(names, prepare(parts.pop(prefix)), expected)
        variables[name] = jax.tree.map(lambda array: jnp.array(array, copy=True), ours)
    return networks, variables


@pytest.mark.parametrize("path", golden.goldens("sdic", "sdic"), ids=golden.name_of)
def test_sdic_whole(path):
    file = SdicFile(path)
    assert set(file.config) == {"stylegan_size", "n_latent", "change"}
    image = golden.to_nhwc(file.input("image"))
    networks, variables = load(file, image)
    memory.forget()
    variables["average"] = file.input("latent_avg")
    factor = file.info["inputs"]["direction"].pop("factor")
    direction = file.input("direction")

    @jax.jit
    def run(variables):
        found, _ = networks(variables, image)
        moved = editing.move(found["compensated_codes"], direction, factor)
        residual = found["compensated_feature"] - found["feature"]
        edited, injected = networks.edit(variables, moved, residual)
        return found, edited, injected

    found, edited, injected = run(variables)
    tapped = f"feature{networks.tap}"
    file.compare_all({
        "codes": found["codes"],
        "codes_compensated": found["compensated_codes"],
        f"initial_{networks.width}": found["initial"],
        "discrepancy": found["discrepancy"],
        tapped: found["feature"],
        f"{tapped}_compensated": found["compensated_feature"],
        "image": found["picture"],
        "image_edited": edited,
        f"{tapped}_edited": injected,
    })

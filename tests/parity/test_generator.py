"""The generator against the published one, intermediates included."""

import re

import jax
import numpy as np
import pytest

from jaxedit.methods.scat.generator import composite, corrupt
from tests.parity import golden, scat_networks

FILES = golden.goldens("generator")
CASES = [(path, case) for path in FILES for case in golden.load(path).cases()]


@pytest.mark.parametrize(
    ("path", "case"), CASES, ids=[f"{golden.name_of(path)}-{case}" for path, case in CASES]
)
def test_generator(path, case):
    file = golden.load(path)
    image, mask = file.input("image", case), file.input("mask", case)
    output, state = scat_networks.evaluate(
        scat_networks.generator(file), corrupt(image, mask), mask, mutable=("intermediates",)
    )
    inside = state["intermediates"]
    computed = {
        "out": output,
        "comp": composite(image, output, mask),
        "enc": inside["encoder"][0],
    }
    for index, block in enumerate(inside["blocks"]):
        computed[f"aot{index}"] = block
        computed[f"gate{index}"] = inside[f"middle_{index}"]["gate_logits"][0]
    suffix = "" if case is None else f"_{case}"
    names = [name for name in file.arrays if name.endswith(suffix)]
    assert names
    for name in names:
        key = name.removesuffix(suffix)
        assert key in computed, f"{path.name} has an output {name!r} that this test does not know"
        file.compare(name, np.asarray(computed[key]))


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_names_and_shapes_are_all_known(path):
    file = golden.load(path)
    blocks = {re.match(r"middle\.(\d+)", name)[1] for name in file.shapes() if "middle" in name}
    module, variables = scat_networks.generator(file)
    assert len(blocks) == module.blocks
    assert sum(np.prod(shape) for shape in file.shapes().values()) == sum(
        leaf.size for leaf in jax.tree.leaves(variables)
    )

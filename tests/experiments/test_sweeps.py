"""Every sweep's variants are configurations that can be run."""

import pathlib

import pytest

from jaxedit import config as config_lib
from jaxedit.data import sources
from jaxedit.run import stages

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(p.stem for p in ROOT.glob("experiments/*_ablation.py")))
def test_variants_can_be_run(name):
    sweep = config_lib.load_module(ROOT / "experiments" / f"{name}.py")
    for chosen in sweep.SETS:
        for changes in sweep.variants(chosen).values():
            overrides = [(key, repr(value) if not isinstance(value, str) else value)
                         for key, value in changes.items()]
            config = config_lib.load(str(ROOT / sweep.CONFIG), overrides)
            stages.check(config)
            if changes.get("data.source"):
                assert len(sources.create(config.data.source, "train"))

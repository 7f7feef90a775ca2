"""A configuration of the two host stages alone, on the embedded scenes or on a folder."""

from configs import common
from jaxedit.bounds import several, whole
from jaxedit.methods.sims.bank_stage import BankStage
from jaxedit.methods.sims.canvas_stage import CanvasStage

BOUNDS = {"image_size": several(whole(1, 8192, example=64), 2, example=(32, 64))}


def create(config, axis_name=None, artifacts=None):
    return {"bank": BankStage, "canvases": CanvasStage}[config.part](config, axis_name, artifacts)


def get_config(preset=""):
    del preset
    config = common.base()
    config.method = "tests.methods.sims.host_stages"
    config.part = "bank"
    config.image_size = (32, 64)
    config.network = {"classes": 5}
    config.data.thin = ()
    config.data.area_share = 20 / (32 * 64)
    config.bank = {"scale": 2, "area_share": 0.0, "licence": "", "licences": ()}
    config.canvases = {
        "bank": "bank", "sets": 2, "donors": 100, "stencil": True, "transfer": 0.5,
        "whole_donor": False, "elision": "paper", "label_noise": True, "rotation": 2.5,
        "holdout": 0.2,
    }
    config.stages = (
        {"name": "bank", "build": True},
        {"name": "canvases", "build": True, "overrides": {"part": "canvases"}},
    )
    return config.lock()

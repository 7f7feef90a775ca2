"""What the values of SIMS' own configuration keys may be, see `jaxedit.bounds`."""

from jaxedit.bounds import flag, learning_rate, one_of, real, several, text, whole
from jaxedit.methods.sims import (
    affine,
    canvas,
    features,
    ordering_network,
    pairs,
    retrieval,
    synthesis,
)

_CLASSES = several(whole(0, 254, example=5), example=(5, 6, 7))
_CHANNELS = whole(1, 2**14, example=64)
_WEIGHT = real(0, example=1.0)
_SHARE = real(0, 1, example=0.2)

BOUNDS = {
    "part": one_of("synthesis", "align", "order", "bank", "canvases", "compose"),
    "image_size": several(whole(1, 8192, example=256), 2, example=(256, 512)),
    "data.canvas": one_of("record", "none"),
    "data.thin": _CLASSES,
    "data.area_share": real(0, below=1, example=0.0076),
    "data.segments": whole(1, 1024, example=10),
    "data.rotation": real(0, 180, example=2.5),
    "data.pairs": whole(1, 1024, example=10),
    "data.depth": one_of(*pairs.DEPTHS),
    "data.flat": _CLASSES,
    "data.objects": _CLASSES,
    "network.classes": whole(1, 254, example=19),
    "network.width": _CHANNELS,
    "network.stages": one_of(*synthesis.STAGES),
    "bank.scale": whole(1, 64, example=4),
    "bank.area_share": real(0, below=1, example=0.0),
    "bank.licence": text("CC-BY-4.0"),
    "bank.licences": several(text("CC-BY-4.0"), example=("CC0-1.0", "CC-BY-4.0")),
    "canvases.bank": text("bank"),
    "canvases.sets": whole(1, 1024, example=5),
    "canvases.donors": whole(1, example=100),
    "canvases.stencil": flag(),
    "canvases.transfer": _SHARE,
    "canvases.whole_donor": flag(),
    "canvases.elision": one_of("released", "paper", "none"),
    "canvases.label_noise": flag(),
    "canvases.rotation": real(0, 180, example=2.5),
    "canvases.holdout": real(0, below=1, example=0.1),
    "compose.candidates": whole(1, 1024, example=10),
    "compose.context": flag(),
    "compose.search": one_of(*retrieval.SEARCHES),
    "compose.erase": one_of(*canvas.RULES, "none"),
    "compose.rewrite": flag(),
    "compose.context_classes": _CLASSES,
    "compose.prior": several(text("sky"), example=("sky", "road", "car")),
    "align.shrink": whole(1, 64, example=2),
    "align.rule": one_of(*affine.RULES),
    "align.kind": one_of("affine", "shift", "off"),
    "align.rounded": flag(),
    "align.discard": flag(),
    "order.pool": one_of(*ordering_network.POOLS),
    "order.dropout": real(0, below=1, example=0.5),
    "loss.features": one_of("vgg19", "random_features"),
    "loss.feature_channels": _CHANNELS,
    "loss.weights": several(
        _WEIGHT, len(features.WEIGHTS), example=tuple(features.WEIGHTS)
    ),
    "loss.semantic": _WEIGHT,
    "optim.lr": learning_rate(1e-3),
    "optim.lr_start": learning_rate(1e-6),
    "optim.lr_late": learning_rate(1e-4),
    "optim.growth": real(1, example=1.1),
    "optim.drop_epoch": whole(0, example=112),
    "optim.steps_per_epoch": whole(1, example=2975),
    "optim.schedule": one_of("epochs", "constant", "cosine"),
    "optim.warmup": whole(0, example=100),
    "optim.betas": several(real(0, below=1, example=0.9), 2, example=(0.9, 0.999)),
    "optim.eps": real(0, example=1e-8),
    "optim.ema": real(0, below=1, example=0.999),
}

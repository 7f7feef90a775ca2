"""What the values of matting's own configuration keys may be, see `jaxedit.bounds`."""

from jaxedit.bounds import flag, learning_rate, one_of, real, several, text, whole

_CHANNELS = whole(1, 2**14, example=32)
_PIXELS = whole(1, 2**16, example=640)
_SHARE = real(0, 1, example=0.5)
_WEIGHT = real(0, example=1.0)
_FOUR = several(whole(1, 1024, example=2), 4, example=(2, 2, 6, 2))

BOUNDS = {
    "data.task": one_of("pretrain", "finetune"),
    "data.foregrounds": text("scenes"),
    "data.foreground_limit": whole(0, example=64),
    "data.cell": _PIXELS,
    "data.known": _SHARE,
    "data.foreground_share": _SHARE,
    "data.alpha_noise": one_of("pixel", "cell", "smooth", "gaussian"),
    "data.second_image": one_of("image", "colour"),
    "data.affine": flag(),
    "data.jitter": flag(),
    "data.merge": _SHARE,
    "data.resize_probability": _SHARE,
    "data.resize_size": _PIXELS,
    "data.trimap_size": _PIXELS,
    "data.trimap_width": several(_PIXELS, 2, rising=True, example=(1, 29)),
    "data.real_world": _SHARE,
    "network.backbone": one_of("swin", "resnet34"),
    "network.initial": one_of("", "swin-tiny", "dpt", "matteformer"),
    "network.embed_dim": _CHANNELS,
    "network.depths": _FOUR,
    "network.heads": _FOUR,
    "network.window": whole(1, 1024, example=7),
    "network.drop_path": real(0, below=1, example=0.3),
    "network.decoder_blocks": _FOUR,
    "network.width": _CHANNELS,
    "network.guided_attention": flag(),
    "loss.alpha": _WEIGHT,
    "loss.composition": _WEIGHT,
    "loss.laplacian": _WEIGHT,
    "loss.regions": one_of("pretrain", "self_guided", "whole"),
    "loss.warmup": whole(0, example=10_000),
    # Ellipses are drawn from 1 to just below these.
    "loss.band": several(whole(2, 2**16, example=15), 2, example=(30, 15)),
    "loss.band_side": _PIXELS,
    "optim.kind": one_of("adamw", "adam"),
    "optim.lr": learning_rate(1e-3),
    "optim.betas": several(real(0, below=1, example=0.9), 2, example=(0.9, 0.95)),
    "optim.eps": real(0, example=1e-8),
    "optim.weight_decay": real(0, example=0.05),
    "optim.schedule": one_of("epochs", "steps"),
    "optim.warmup": whole(0, example=10),
    "optim.total": whole(0, example=100),
    "optim.steps_per_epoch": whole(1, example=2502),
    "optim.clip": flag(),
    "optim.clip_decay": real(0, below=1, example=0.999),
    "precision.compute": one_of("float32", "bfloat16"),
    "remat": flag(),
    "evaluate.compose": flag(),
    "evaluate.trimap": one_of("record", "made"),
    "evaluate.trimap_width": whole(0, 2**16, example=20),
    "evaluate.margin": whole(0, 2**16, example=32),
    "evaluate.classical": flag(),
}

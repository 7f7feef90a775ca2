"""Public weights of e4e (Tov et al., 2021), of SDIC (Zhang et al., 2024), and of their generator.

A file of e4e's holds encoder, generator and average code; one of SDIC's also the two networks that
it trains, and an encoder whose batch statistics may have drifted from e4e's.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxedit.weights.entry import Bundle, File, Lazy, Network, Trained
from jaxedit.weights.table import Entry

_NESTED = ("state_dict",)
_COUNTERS = "*num_batches_tracked"


def _average(codes: int) -> dict:
    return {"codes": jax.ShapeDtypeStruct((codes, 512), np.float32)}


def _parts(size: int, codes: int) -> tuple[Network, ...]:
    """Returns the networks of a file with a generator of `size` pixels."""
    return (
        Network(
            name="encoder",
            table=Lazy("jaxedit.methods.sdic.e4e:encoder_table", codes=codes),
            network=Lazy("jaxedit.methods.sdic.e4e:Encoder", codes=codes),
            inputs=((1, 64, 64, 3),),
            nested=_NESTED,
            starts=("encoder.",),
            ignore=(_COUNTERS,),
        ),
        Network(
            name="generator",
            table=Lazy("jaxedit.models.stylegan2.tables:generator_table", size=size),
            network=Lazy("jaxedit.models.stylegan2.generator:Generator", size=size),
            inputs=((1, 512),),
            nested=_NESTED,
            starts=("decoder.",),
            prepare=Lazy("jaxedit.models.stylegan2.tables:prepare_generator"),
        ),
        Network(
            name="average",
            table=lambda: {"latent_avg": Entry(("codes",))},
            network=lambda: _average(codes),
            ignore=("opts", "opts.*", "opts/*"),
        ),
    )


def _compensation(codes: int) -> tuple[Network, ...]:
    """Returns the two networks that SDIC trains; older files have other names of them."""
    shape = (1, codes, 512)
    return (
        Network(
            name="dipn",
            table=Lazy("jaxedit.methods.sdic.weights:dipn_table"),
            network=Lazy("jaxedit.methods.sdic.dipn:DIPN"),
            inputs=((1, 64, 64, 3), (1, 64, 64, 3)),
            nested=_NESTED,
            starts=("DIP.", "CGI."),
            prepare=Lazy("jaxedit.methods.sdic.weights:prepare_dipn"),
        ),
        Network(
            name="dicn",
            table=Lazy("jaxedit.methods.sdic.weights:dicn_table"),
            network=Lazy("jaxedit.methods.sdic.dicn:DICN"),
            inputs=((1, 256, 256, 3), (1, 64, 64, 512), shape),
            nested=_NESTED,
            starts=("SAF.", "residue."),
            ignore=("lpips_loss.*", "id_loss.*", "moco_loss.*"),  # copies of loss networks
            prepare=Lazy("jaxedit.methods.sdic.weights:prepare_dicn"),
        ),
    )


def pickled(size: int, style_width: int = 512, mapping_layers: int = 8, **widths: Any) -> tuple:
    """Returns the networks of a pickle of stylegan2-ada for PyTorch; `widths` as of `Generator`."""
    tables, constants = "jaxedit.models.stylegan2.tables", ("*.resample_filter",)
    return (
        Network(
            name="generator",
            table=Lazy(f"{tables}:generator_table", size=size, mapping_layers=mapping_layers),
            network=Lazy(
                "jaxedit.models.stylegan2.generator:Generator", size=size,
                style_width=style_width, mapping_layers=mapping_layers, **widths,
            ),
            inputs=((1, style_width),),
            nested=("G_ema",),
            ignore=constants,
            prepare=Lazy("jaxedit.models.stylegan2.ada:prepare_generator"),
        ),
        Network(
            name="average",
            table=lambda: {"": Entry(("codes",))},
            network=lambda: {"codes": jax.ShapeDtypeStruct((style_width,), np.float32)},
            nested=("G_ema",),
            starts=("mapping.w_avg",),
        ),
        Network(
            name="discriminator",
            table=Lazy(f"{tables}:discriminator_table", size=size),
            network=Lazy(
                "jaxedit.models.stylegan2.discriminator:Discriminator", size=size, **widths
            ),
            inputs=((1, size, size, 3),),
            nested=("D",),
            ignore=constants,
            prepare=Lazy("jaxedit.models.stylegan2.ada:discriminator"),
        ),
    )


def _sdic(
    name: str, what: str, size: int, codes: int, image_size: tuple[int, int] = (256, 256)
) -> Bundle:
    apply = Lazy("jaxedit.methods.sdic.applied:inversion", size=size, image_size=image_size)
    page = "https://github.com/ZzqLKED/SDIC"
    return Bundle(
        name=name,
        what=what,
        address=page,
        licence="none stated by the publishing repository",
        files=(File(page, f"{name}.pt"),),
        networks=(*_parts(size, codes), *_compensation(codes)),
        by_hand="the page says where the file is; a person has to press Download",
        tasks={"invert": apply},
    )


def _e4e(
    name: str, what: str, identifier: str, size: int, codes: int,
    image_size: tuple[int, int] = (256, 256),
) -> Bundle:
    apply = Lazy("jaxedit.methods.sdic.applied:encoder", size=size, image_size=image_size)
    address = f"https://drive.google.com/file/d/{identifier}/view"
    return Bundle(
        name=name,
        what=what,
        address=address,
        licence="MIT is the publishing code's; none is stated for the weights",
        files=(File(address, f"{name}.pt"),),
        networks=_parts(size, codes),
        by_hand="Google Drive: a person has to press Download",
        tasks={"invert": apply},
    )


_ADA = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained"
ENTRIES = (
    Bundle(
        name="stylegan2-ffhq",
        what="StyleGAN2 of faces, 1024 pixels: generator, average code and discriminator",
        address=f"{_ADA}/ffhq.pkl",
        licence="NVIDIA Source Code License: not for commercial use",
        files=(File(f"{_ADA}/ffhq.pkl", "ffhq.pkl"),),
        networks=pickled(1024),
    ),
    _e4e(
        "e4e-ffhq", "e4e encoder and StyleGAN2 generator of faces, 1024 pixels",
        "1cUv_reLE6k3604or78EranS7XzuVMWeO", 1024, 18,
    ),
    _e4e(
        "e4e-cars", "e4e encoder and StyleGAN2 generator of cars, 512 pixels",
        "17faPqBce2m1AQeLCLHUVXaDfxMRU2QcV", 512, 16, (192, 256),
    ),
    _sdic("sdic-ffhq", "SDIC of faces: e4e, generator, DIPN and DICN, 1024 pixels", 1024, 18),
    _sdic(
        "sdic-cars", "SDIC of cars: e4e, generator, DIPN and DICN, 512 pixels", 512, 16, (192, 256)
    ),
)

_CHAIN = "python -m jaxedit.main --config=configs/sdic.py:chain"
TRAINED = tuple(Trained(f"portraits-{name}", what, _CHAIN) for name, what in (
    ("generator", "StyleGAN2 of drawn portraits"),
    ("encoder", "the encoder of that generator"),
    ("judge", "reads attributes off drawn portraits"),
    ("inversion", "SDIC on that encoder and generator"),
))

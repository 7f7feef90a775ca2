"""The public checkpoints that jaxedit can use: where they are, under which licence, and how each
becomes ours.

Digests. `sha256` is the digest of the whole file. For the LPIPS heads it was computed from the
files in the publisher's own repository. For the other files it is given where several
public projects quote the same digest and its first digits are those that the publisher wrote into
the file's name; where only the name tells, `sha256_prefix` holds those digits; where nothing tells,
both are None and the file is accepted for its keys and shapes alone.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import jax
import jax.numpy as jnp

from jaxedit.errors import UserError
from jaxedit.host.names import did_you_mean


class Part:
    """Something of another module, named by its path and imported when it is needed."""

    def __init__(self, path: str, **options: Any):
        """`path` is "module:name" of a class or function, `options` what it is called with."""
        self.path = path
        self.options = options

    def __call__(self) -> Any:
        module, name = self.path.split(":")
        return getattr(importlib.import_module(module), name)(**self.options)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A public checkpoint.

    Attributes:
      name: what the user types.
      what: one line on what it is for.
      address: where the file is; a folder or a page where the publisher gives no file address.
      licence: of the weights, as the publisher states it.
      table: makes the conversion table.
      network: makes the linen module whose variables the file fills.
      inputs: shapes of arrays that the network can be initialised with.
      sha256: lower-case hexadecimal digest of the file, or None where it is not established.
      sha256_prefix: its first digits as they stand in the published file name, or None.
      bytes: size of the file, or None where it is not established.
      file: the file to take, where the address is a folder.
      nested: keys that lead to the state dict inside of the file.
      prefix: stripped from all names where all have it.
      ignore: patterns of published entries that our network has no use for.
    """

    name: str
    what: str
    address: str
    licence: str
    table: Part
    network: Part
    inputs: tuple[tuple[int, ...], ...] = ((1, 96, 96, 3),)
    sha256: str | None = None
    sha256_prefix: str | None = None
    bytes: int | None = None
    file: str = ""
    nested: tuple[str, ...] = ()
    prefix: str = "module."
    ignore: tuple[str, ...] = ()

    def expected(self) -> dict[str, Any]:
        """Returns our variables as shape structs, which every file is checked against."""
        inputs = [jnp.zeros(shape) for shape in self.inputs]
        return jax.eval_shape(self.network().init, jax.random.key(0), *inputs)


def get(name: str) -> Checkpoint:
    """Returns the checkpoint called `name`.

    Raises:
      UserError: there is none; the message names the nearest and all others.
    """
    if name in CHECKPOINTS:
        return CHECKPOINTS[name]
    raise UserError(
        f"There are no weights called {name!r}.{did_you_mean(name, CHECKPOINTS)} "
        f"Known: {', '.join(CHECKPOINTS)}."
    )


_TORCHVISION = (
    "no licence is stated for the weights (ImageNet-trained); the publishing code, torchvision, "
    "is BSD-3-Clause"
)
_LPIPS = "https://github.com/richzhang/PerceptualSimilarity/raw/082bb24f84c091ea94de2867d34c4544f68e0963"
_GENERATOR = {
    "table": Part("jaxedit.methods.scat.weights:generator_table"),
    "network": Part("jaxedit.methods.scat.generator:Generator"),
    "inputs": ((1, 64, 64, 3), (1, 64, 64, 1)),
}
_MATTING = {
    "table": Part("jaxedit.methods.matting.weights:network_table"),
    "network": Part("jaxedit.methods.matting.network:MattingNetwork"),
    "inputs": ((1, 32, 32, 3), (1, 32, 32, 3)),
    "nested": ("state_dict",),
    "ignore": ("*.num_batches_tracked", "*.relative_position_index"),
}


def _vgg(depth: int) -> dict[str, Any]:
    return {
        "table": Part("jaxedit.models.vgg:conversion_table", depth=depth),
        "network": Part("jaxedit.models.vgg:VGG", depth=depth),
        "ignore": ("classifier.*",),
    }


def _lpips(*channels: int) -> dict[str, Any]:
    return {
        "table": Part("jaxedit.metrics.lpips:conversion_table"),
        "network": Part("jaxedit.metrics.lpips:Heads"),
        "inputs": tuple((1, 1, 1, count) for count in channels),
    }


_ALL = (
    Checkpoint(
        name="scat-places2",
        what="SCAT generator trained on Places2, 256 pixels",
        address="https://drive.google.com/file/d/165ej_2Dd8L7_9Xa1EOSxTXs4BT1rJ3q6/view",
        licence="none stated by the publishing repository",
        **_GENERATOR,
    ),
    Checkpoint(
        name="scat-celeba",
        what="SCAT generator trained on aligned CelebA, 256 pixels",
        address="https://drive.google.com/file/d/1DGbRu9ucX6zRVKz4psL3RiwwiY2_Awx5/view",
        licence="none stated by the publishing repository",
        **_GENERATOR,
    ),
    Checkpoint(
        name="aotgan-places2",
        what="AOT-GAN generator trained on Places2, 512 pixels",
        address="https://drive.google.com/drive/folders/1bSOH-2nB3feFRyDEmiX81CEiWkghss3i",
        licence="Apache-2.0",
        file="G*.pt",
        **_GENERATOR,
    ),
    Checkpoint(
        name="aotgan-celebahq",
        what="AOT-GAN generator trained on CelebA-HQ, 512 pixels",
        address="https://drive.google.com/drive/folders/1Zks5Hyb9WAEpupbTdBqsCafmb25yqsGJ",
        licence="Apache-2.0",
        file="G*.pt",
        **_GENERATOR,
    ),
    Checkpoint(
        name="vgg16",
        what="VGG-16 convolutions, ImageNet: the backbone of lpips_vgg",
        address="https://download.pytorch.org/models/vgg16-397923af.pth",
        licence=_TORCHVISION,
        **_vgg(16),
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        sha256_prefix="397923af",
        bytes=553_433_881,
    ),
    Checkpoint(
        name="vgg19",
        what="VGG-19 convolutions, ImageNet: AOT-GAN's perceptual and style losses",
        address="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        licence=_TORCHVISION,
        **_vgg(19),
        sha256_prefix="dcbb9e9d",
    ),
    Checkpoint(
        name="alexnet",
        what="AlexNet convolutions, ImageNet: the backbone of lpips",
        address="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        licence=_TORCHVISION,
        table=Part("jaxedit.models.alexnet:conversion_table"),
        network=Part("jaxedit.models.alexnet:AlexNet"),
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        sha256_prefix="7be5be79",
        bytes=244_408_911,
        ignore=("classifier.*",),
    ),
    Checkpoint(
        name="lpips-alex",
        what="LPIPS v0.1 linear heads for AlexNet",
        address=f"{_LPIPS}/lpips/weights/v0.1/alex.pth",
        licence="BSD-2-Clause",
        **_lpips(64, 192, 384, 256, 256),
        sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        bytes=6_009,
    ),
    Checkpoint(
        name="lpips-vgg",
        what="LPIPS v0.1 linear heads for VGG-16",
        address=f"{_LPIPS}/lpips/weights/v0.1/vgg.pth",
        licence="BSD-2-Clause",
        **_lpips(64, 128, 256, 512, 512),
        sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        bytes=7_289,
    ),
    Checkpoint(
        name="inception-fid",
        what="Inception of the Frechet Inception Distance (TensorFlow 2015-12-05): FID, KID, IDS",
        address="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        licence="Apache-2.0",
        table=Part("jaxedit.models.inception:conversion_table"),
        network=Part("jaxedit.models.inception:FIDInception"),
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        sha256_prefix="6726825d",
        bytes=95_628_359,
        ignore=("*.num_batches_tracked", "fc.*"),
    ),
    Checkpoint(
        name="matteformer",
        what="MatteFormer trained on Composition-1k: alpha mattes from photograph and trimap",
        address="https://drive.google.com/file/d/1AU7uM1dtYjEhtOa_9OGfoQUE-tmW9mX5/view",
        licence="the publishing code is Apache-2.0; the weights were trained on Adobe's data, "
        "which allows no commercial use",
        **_MATTING,
    ),
    Checkpoint(
        name="dpt",
        what="DPT's matting network (MatteFormer's layout), for Composition-1k as its page says",
        address="https://1drv.ms/u/s!AtQiYwqUDNqOjWtwYb0FC1MuTQ0O?e=5BIbCQ",
        licence="none stated by the publishing repository; Adobe's data allows no commercial use",
        **_MATTING,
    ),
    Checkpoint(
        name="swin-tiny",
        what="Swin-T backbone, ImageNet-1k, 224 pixels: MatteFormer's start",
        address="https://github.com/SwinTransformer/storage/releases/download/v1.0.0/"
        "swin_tiny_patch4_window7_224.pth",
        licence="MIT",
        table=Part("jaxedit.models.swin:conversion_table"),
        network=Part("jaxedit.models.swin:SwinTransformer"),
        inputs=((1, 64, 64, 3),),
        nested=("model",),
        ignore=("*.attn_mask", "*.relative_position_index", "norm.*", "head.*"),
    ),
)
CHECKPOINTS = {checkpoint.name: checkpoint for checkpoint in _ALL}

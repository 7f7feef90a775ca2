"""The public weights of networks that several papers share; `weights/manifest` finds them here.

Digests. `sha256` is the digest of the whole file. For the LPIPS heads it was computed from the
files in the publisher's own repository. For the other files it is given where several
public projects quote the same digest and its first digits are those that the publisher wrote into
the file's name; where only the name tells, `sha256_prefix` holds those digits; where nothing tells,
both are None and the file is accepted for its keys and shapes alone.
"""

from __future__ import annotations

from typing import Any

from jaxedit.weights.entry import AsPublished, Bundle, File, Lazy, Network, Published

_TORCHVISION = (
    "no licence is stated for the weights (ImageNet-trained); the publishing code, torchvision, "
    "is BSD-3-Clause"
)
_LPIPS = "https://github.com/richzhang/PerceptualSimilarity/raw/082bb24f84c091ea94de2867d34c4544f68e0963"


def _vgg(depth: int) -> dict[str, Any]:
    return {
        "table": Lazy("jaxedit.models.vgg:conversion_table", depth=depth),
        "network": Lazy("jaxedit.models.vgg:VGG", depth=depth),
        "ignore": ("classifier.*",),
    }


def _lpips(*channels: int) -> dict[str, Any]:
    return {
        "table": Lazy("jaxedit.models.lpips:conversion_table"),
        "network": Lazy("jaxedit.models.lpips:Heads"),
        "inputs": tuple((1, 1, 1, count) for count in channels),
    }


def _clip(size: str, what: str) -> Bundle:
    """Returns the entry of a CLIP, published as a folder with its tokenizer."""
    name = f"clip-vit-{size}"
    address = f"https://huggingface.co/openai/{name}"
    keep = ("vocab.json", "merges.txt")
    part = "jaxedit.models.clip.folder"
    return Bundle(
        name=name,
        what=f"CLIP {what}: whether pictures show what texts say",
        address=address,
        licence="MIT is the publishing code's; none is stated for the weights",
        # Weights in torch's own form are what all revisions have.
        files=tuple(File(f"{address}/resolve/main/{path}", path)
                    for path in ("config.json", "pytorch_model.bin", *keep)),
        networks=(Network(
            name="clip", paths=("model.safetensors", "pytorch_model.bin"), config="config.json",
            table=Lazy(f"{part}:conversion_table"), network=Lazy(f"{part}:variables"),
            configure=Lazy(f"{part}:options"), prepare=Lazy(f"{part}:prepare"),
        ),),
        keep=keep,
    )


ENTRIES = (
    _clip("large-patch14", "ViT-L/14"),
    _clip("base-patch32", "ViT-B/32"),
    Published(
        name="vgg16",
        what="VGG-16 convolutions, ImageNet: the backbone of lpips_vgg",
        address="https://download.pytorch.org/models/vgg16-397923af.pth",
        licence=_TORCHVISION,
        **_vgg(16),
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        sha256_prefix="397923af",
        bytes=553_433_881,
    ),
    Published(
        name="vgg19",
        what="VGG-19 convolutions, ImageNet: perceptual and style losses",
        address="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        licence=_TORCHVISION,
        **_vgg(19),
        sha256_prefix="dcbb9e9d",
    ),
    Published(
        name="alexnet",
        what="AlexNet convolutions, ImageNet: the backbone of lpips",
        address="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        licence=_TORCHVISION,
        table=Lazy("jaxedit.models.alexnet:conversion_table"),
        network=Lazy("jaxedit.models.alexnet:AlexNet"),
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        sha256_prefix="7be5be79",
        bytes=244_408_911,
        ignore=("classifier.*",),
    ),
    Published(
        name="lpips-alex",
        what="LPIPS v0.1 linear heads for AlexNet",
        address=f"{_LPIPS}/lpips/weights/v0.1/alex.pth",
        licence="BSD-2-Clause",
        **_lpips(64, 192, 384, 256, 256),
        sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        bytes=6_009,
    ),
    Published(
        name="lpips-vgg",
        what="LPIPS v0.1 linear heads for VGG-16",
        address=f"{_LPIPS}/lpips/weights/v0.1/vgg.pth",
        licence="BSD-2-Clause",
        **_lpips(64, 128, 256, 512, 512),
        sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        bytes=7_289,
    ),
    Published(
        name="inception-fid",
        what="Inception of the Frechet Inception Distance (TensorFlow 2015-12-05): FID, KID, IDS",
        address="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        licence="Apache-2.0",
        table=Lazy("jaxedit.models.inception:conversion_table"),
        network=Lazy("jaxedit.models.inception:FIDInception"),
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        sha256_prefix="6726825d",
        bytes=95_628_359,
        ignore=("*.num_batches_tracked", "fc.*"),
    ),
    Published(
        name="arcface",
        what="ArcFace IR-SE-50: whether two pictures show one person",
        address="https://drive.google.com/file/d/1KW7bjndL3QG3sxBbZxreGHigcCCpsDgn/view",
        licence="MIT is the publishing code's; none is stated for the weights",
        table=Lazy("jaxedit.models.arcface:conversion_table"),
        network=Lazy("jaxedit.models.arcface:ArcFace"),
        inputs=((1, 112, 112, 3),),
        ignore=("*.num_batches_tracked",),
        by_hand="Google Drive: a person has to press Download",
    ),
    Published(
        name="moco-v2",
        what="ResNet-50 by MoCo v2, ImageNet, 800 epochs: whether two pictures show one thing",
        address="https://dl.fbaipublicfiles.com/moco/moco_checkpoints/moco_v2_800ep/"
        "moco_v2_800ep_pretrain.pth.tar",
        licence="CC-BY-NC 4.0 is the publishing code's; none is stated for the weights",
        table=Lazy("jaxedit.models.resnet50:conversion_table"),
        network=Lazy("jaxedit.models.resnet50:ResNet50"),
        inputs=((1, 64, 64, 3),),
        nested=("state_dict",),
        prepare=Lazy("jaxedit.models.resnet50:of_moco"),
        ignore=("*.num_batches_tracked",),
    ),
    Published(
        name="swin-tiny",
        what="Swin-T backbone, ImageNet-1k, 224 pixels",
        address="https://github.com/SwinTransformer/storage/releases/download/v1.0.0/"
        "swin_tiny_patch4_window7_224.pth",
        licence="MIT",
        table=Lazy("jaxedit.models.swin:conversion_table"),
        network=Lazy("jaxedit.models.swin:SwinTransformer"),
        inputs=((1, 64, 64, 3),),
        nested=("model",),
        ignore=("*.attn_mask", "*.relative_position_index", "norm.*", "head.*"),
    ),
)

# Licences as they stand on the publishers' pages.
AS_PUBLISHED = (
    AsPublished(
        name="clipseg-rd64-refined",
        what="CLIPSeg: where pictures show what words say",
        address="https://huggingface.co/CIDAS/clipseg-rd64-refined",
        file="",
        licence="Apache-2.0",
        use="download the folder (config.json, model.safetensors or pytorch_model.bin, vocab.json, "
        "merges.txt), and name it, --segmenter FOLDER",
    ),
    AsPublished(
        name="dlib-landmarks",
        what="dlib's 68 landmarks of faces, for `jaxedit align`",
        address="https://github.com/davisking/dlib-models",
        file="shape_predictor_68_face_landmarks.dat.bz2",
        licence="public domain as far as its author goes; the licence of the data behind it (iBUG "
        "300-W) excludes commercial use, of the model too as one of the data's makers says",
        use="unpack it (bunzip2) where it is looked for, or name it, --predictor FILE",
        place="shape_predictor_68_face_landmarks.dat",
    ),
)

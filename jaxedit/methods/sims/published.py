"""Public weights of SIMS (Qi et al., CVPR 2018), for Cityscapes: five networks of one archive.

Names of folders in the archive are those that the published scripts read and write.
"""

from __future__ import annotations

from jaxedit.weights.entry import Lazy, Published

_WEIGHTS = "jaxedit.methods.sims.weights"
# What TensorFlow's Adam keeps beside the weights, and a block of the script for 1024 x 2048 that
# nothing reads from.
_IGNORE = ("*/Adam", "*/Adam_1", "beta?_power", "global_step", "g_decoder_1024/*")


def _entry(name: str, what: str, folder: str, **network) -> Published:
    return Published(
        name=name,
        what=f"SIMS for Cityscapes: {what}",
        address="https://drive.google.com/open?id=1MgEHYbMM7DAwoFpaH0Z5IRglFzTT6Fd5",
        licence="the publishing code is MIT; the weights were trained on Cityscapes, which "
        "allows no commercial use",
        by_hand="Google Drive: a person has to press Download; unzip trainedmodels.zip, and FILE "
        f"is model.ckpt.index of {folder}/ in it, with the data beside it",
        paths=("model.ckpt.index",),
        ignore=_IGNORE,
        **network,
    )


def _synthesis(name: str, what: str, folder: str, stages: int) -> Published:
    side = 64 * 2 ** (stages - 1)
    return _entry(
        name, f"the synthesis network at {what}", folder,
        table=Lazy(f"{_WEIGHTS}:synthesis_table", stages=stages),
        network=Lazy("jaxedit.methods.sims.synthesis:SynthesisNetwork", stages=stages),
        inputs=((1, side, side, 24),),
        prepare=Lazy(f"{_WEIGHTS}:rgb"),
    )


ENTRIES = (
    _synthesis("sims-256", "256 x 512", "synthesis_256_512/0800", 1),
    _synthesis("sims-512", "512 x 1024", "synthesis/synthesis_512/0100", 2),
    _synthesis("sims-1024", "1024 x 2048", "synthesis/synthesis_1024/0100", 3),
    _entry(
        "sims-align", "the alignment network", "transform/0100",
        table=Lazy(f"{_WEIGHTS}:alignment_table"),
        network=Lazy("jaxedit.methods.sims.alignment:AlignmentNetwork"),
        inputs=((1, 32, 32, 24),),
        prepare=Lazy(f"{_WEIGHTS}:about_identity"),
    ),
    _entry(
        "sims-order", "the ordering network", "order/0100",
        table=Lazy(f"{_WEIGHTS}:ordering_table"),
        network=Lazy("jaxedit.methods.sims.ordering_network:OrderingNetwork"),
        inputs=((1, 32, 32, 6),),
        prepare=Lazy(f"{_WEIGHTS}:unlabelled_last"),
    ),
)

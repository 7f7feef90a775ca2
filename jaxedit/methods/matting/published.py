"""Public weights of MatteFormer (Park et al., CVPR 2022) and of DPT, the same network."""

from __future__ import annotations

from jaxedit.weights.entry import Lazy, Published

_MATTING = {
    "table": Lazy("jaxedit.methods.matting.weights:network_table"),
    "network": Lazy("jaxedit.methods.matting.network:MattingNetwork"),
    "inputs": ((1, 32, 32, 3), (1, 32, 32, 3)),
    "nested": ("state_dict",),
    "tasks": {"matte": Lazy("jaxedit.methods.matting.matte:published")},
    "ignore": ("*.num_batches_tracked", "*.relative_position_index"),
}

ENTRIES = (
    Published(
        name="matteformer",
        what="MatteFormer trained on Composition-1k: alpha mattes from photograph and trimap",
        address="https://drive.google.com/file/d/1AU7uM1dtYjEhtOa_9OGfoQUE-tmW9mX5/view",
        licence="the publishing code is Apache-2.0; the weights were trained on Adobe's data, "
        "which allows no commercial use",
        by_hand="Google Drive: a person has to press Download",
        **_MATTING,
    ),
    Published(
        name="dpt",
        what="DPT's matting network (MatteFormer's layout), for Composition-1k as its page says",
        address="https://1drv.ms/u/s!AtQiYwqUDNqOjWtwYb0FC1MuTQ0O?e=5BIbCQ",
        licence="none stated by the publishing repository; Adobe's data allows no commercial use",
        by_hand="OneDrive: a person has to press Download",
        **_MATTING,
    ),
)

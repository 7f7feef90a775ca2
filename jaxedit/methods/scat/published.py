"""Public weights of SCAT (Zuo et al., 2023) and of AOT-GAN (Zeng et al., 2022), one network."""

from __future__ import annotations

from jaxedit.weights.entry import Lazy, Published

_GENERATOR = {
    "table": Lazy("jaxedit.methods.scat.weights:generator_table"),
    "network": Lazy("jaxedit.methods.scat.generator:Generator"),
    "inputs": ((1, 64, 64, 3), (1, 64, 64, 1)),
    "by_hand": "Google Drive: a person has to press Download",
    "tasks": {"inpaint": Lazy("jaxedit.methods.scat.inpaint:published")},
}

ENTRIES = (
    Published(
        name="scat-places2",
        what="SCAT generator trained on Places2, 256 pixels",
        address="https://drive.google.com/file/d/165ej_2Dd8L7_9Xa1EOSxTXs4BT1rJ3q6/view",
        licence="none stated by the publishing repository",
        **_GENERATOR,
    ),
    Published(
        name="scat-celeba",
        what="SCAT generator trained on aligned CelebA, 256 pixels",
        address="https://drive.google.com/file/d/1DGbRu9ucX6zRVKz4psL3RiwwiY2_Awx5/view",
        licence="none stated by the publishing repository",
        **_GENERATOR,
    ),
    Published(
        name="aotgan-places2",
        what="AOT-GAN generator trained on Places2, 512 pixels",
        address="https://drive.google.com/drive/folders/1bSOH-2nB3feFRyDEmiX81CEiWkghss3i",
        licence="Apache-2.0",
        file="G*.pt",
        **_GENERATOR,
    ),
    Published(
        name="aotgan-celebahq",
        what="AOT-GAN generator trained on CelebA-HQ, 512 pixels",
        address="https://drive.google.com/drive/folders/1Zks5Hyb9WAEpupbTdBqsCafmb25yqsGJ",
        licence="Apache-2.0",
        file="G*.pt",
        **_GENERATOR,
    ),
)

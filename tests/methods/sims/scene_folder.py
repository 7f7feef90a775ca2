"""A folder of small scenes, as a person's own would be."""

import json

import numpy as np
from PIL import Image

from jaxedit.data import sources


def written(folder, count=24):
    """Writes records of `scenes:several` as a person's folder would hold them."""
    source = sources.create("scenes:several:64", "train")
    for name in ("images", "labels", "depths", "instances"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.json").write_text(json.dumps(source.classes))
    for number in range(count):
        record = source[number]
        Image.fromarray(record["image"]).save(folder / f"images/{number:02}.png")
        for key in ("label", "instance"):
            Image.fromarray(record[key].astype(np.uint8)).save(folder / f"{key}s/{number:02}.png")
        np.save(folder / f"depths/{number:02}.npy", record["depth"])
    return folder

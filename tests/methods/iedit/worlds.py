"""A folder of scenes of the small world, as a person would have them: files, captions, facts."""

import json

from PIL import Image

from jaxedit.data import sources


def folder(root, count=40, size=64):
    """Writes `count` scenes into `root`, with captions, opacity and attributes; returns `root`."""
    source = sources.create(f"scenes:world:{size}", "train", train_count=count)
    for name in ("images", "alphas"):
        (root / name).mkdir(parents=True)
    captions, facts = [], []
    for record in source:
        Image.fromarray(record["image"]).save(root / "images" / f"{record['id']}.png")
        Image.fromarray(record["alpha"]).save(root / "alphas" / f"{record['id']}.png")
        captions.append({"id": record["id"], "caption": record["caption"]})
        facts.append({"id": record["id"], "attributes": record["attributes"]})
    for name, rows in (("captions.jsonl", captions), ("manifest.jsonl", facts)):
        (root / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return root

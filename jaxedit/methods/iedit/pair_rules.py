"""By what rules pairs are made: the defaults of `config.pairs`, for configurations and the verb.

The paper's numbers are not known to us; all of these are ours [R]. They suit CLIP ViT-L/14 and
photographs from the web.
"""

from __future__ import annotations

DEFAULTS = {
    "words": "table",  # table | world (of scenes:world) | wordnet | FILE.json
    "captioner": "",  # MODULE:FUNCTION that writes captions; "": those of the source
    "min_side": 256,  # smaller pictures are left out
    "max_aspect": 2.0,  # and those that are longer than so many times their width
    "duplicates": 4,  # of 64 bits that differ, up to which two pictures look alike; -1: none do
    "append": 0.0,  # share of prompts to which a thing is added
    "remove": 0.0,  # and of those from which one is taken
    "beta": 0.5,  # weight of the picture in the query; the prompt's is the rest
    "neighbours": 10,  # that are looked at
    "exact_up_to": 1_000_000,  # pictures; beyond, the search may be approximate
    "cos_img": (0.55, 0.95),  # cosine of source and target
    "cos_text": 0.18,  # least cosine of edit prompt and target
    "uses": 5,  # of a picture as a target
    "area": (0.01, 0.8),  # share of a picture that a mask may cover
    "eval": 0.01,
    "test": 0.01,
    "shown": 60,  # pairs on the page
    "towers": "",  # folder of a CLIP; "": those that the stage starts from
    "segmenter": "",  # folder of a CLIPSeg, likewise
    "collection": "collection",  # the stage that read the pictures
    "matches": "matches",  # the one that matched them; "": records are pairs already
}

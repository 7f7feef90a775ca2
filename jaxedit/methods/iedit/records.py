"""Record keys of iEdit's data set: pairs that a machine has put together.

`image` is the source, `caption` what it shows; a pair's own keys say what it is to become.
"""

from jaxedit.data import records

records.declare("target", "image", folder="targets", aligned=False)  # shows the edit prompt
records.declare("edit_prompt", "text")  # what the edited picture shows
records.declare("removed", "text")  # the changed words: of the caption
records.declare("added", "text")  # and of the edit prompt
records.declare("mask_source", "mask", folder="masks_source")  # where the source has the former
records.declare("mask_target", "mask", folder="masks_target", aligned=False)  # the latter
records.declare("cos_img", "number")  # cosines of CLIP: source and target
records.declare("cos_txt_src", "number")  # source and edit prompt
records.declare("cos_txt_tgt", "number")  # target and edit prompt
# What the stage `latents` adds, see `pair_data`.
records.declare("moments", "array")  # of the source's latents, (h, w, 2C)
records.declare("target_moments", "array")
records.declare("text_states", "array", folder="text_states")  # of the edit prompt, (length, width)
records.declare("symbols", "array", folder="symbols")  # int32 (length,), what the states are of

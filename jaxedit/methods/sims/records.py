"""Record keys of SIMS: under what licence a donor stands, and canvases that were simulated."""

from jaxedit.data import records

records.declare("licence", "text")
records.declare("source", "text")  # where the picture comes from, for its credit
records.declare("canvas", "image", folder="canvases")  # black is missing, white was erased
records.declare("canvas_label", "label")  # the layout that goes with it: noisy, or rewritten
records.declare("nearest", "image", folder="nearest")  # the bank's picture of the likest layout
records.declare("donors", "text")  # JSON: where the pasted segments of `canvas` come from

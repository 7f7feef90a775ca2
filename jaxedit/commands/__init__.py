"""The verbs of the `jaxedit` command, one module each: `add(commands)` adds a verb's parser.

Only the module of the verb that was typed is imported, so that `jaxedit --help` and a mistyped
word answer at once.
"""

# verb -> (module of this package, the line that `jaxedit --help` shows)
VERBS = {
    "inpaint": ("inpaint", "fill holes in photographs"),
    "matte": ("matte", "cut a subject out of photographs"),
    "label": ("label", "say of every pixel of photographs what it shows"),
    "synthesize": ("synthesize", "turn label maps into photographs"),
    "edit": ("edit", "change one thing in photographs by a text"),
    "invert": ("invert", "invert a face into a generator and edit it there"),
    "align": ("align", "cut faces out of photographs, upright and to scale"),
    "directions": ("directions", "find directions in which a generator's pictures are edited"),
    "iedit-data": ("iedit_data", "make pairs for text-guided editing from captioned pictures"),
    "train": ("train", "train a method, or resume a run"),
    "evaluate": ("evaluate", "measure a checkpoint of a run"),
    "weights": ("weights", "list weights, fetch published ones and convert them"),
    "sweep": ("sweep", "run an ablation and compare its variants"),
    "report": ("page", "write the report of a run, or compare several"),
    "preference": ("preference", "let people compare pictures blindly, count answers"),
    "doctor": ("doctor", "check this installation, print what a bug report needs"),
    "data": ("data", "pack training data, compose test sets of mattes"),
    "bank": ("bank", "cut labelled photographs into segments for synthesize to paste"),
}

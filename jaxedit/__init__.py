"""jaxedit: generative image editing papers in JAX, on one small shared core.

    import jaxedit
    jaxedit.inpaint(photo, mask, run="runs/mine")
    jaxedit.matte(photo, mask=coarse, classical="closed-form")
    jaxedit.label(photo)
    jaxedit.synthesize(labels, bank="scenes.bank")
    jaxedit.edit(photo, "a red hat", mask=hat, run="runs/mine")
    jaxedit.invert(face, run="runs/mine", edits={"smile": 2})

What is wrong with what they are given is a `jaxedit.UserError`. See `jaxedit.api`. Nothing heavy,
JAX above all, is imported before the first call.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["edit", "inpaint", "invert", "label", "matte", "synthesize"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from jaxedit import api

        return getattr(api, name)
    if name == "UserError":  # what the functions raise
        from jaxedit.errors import UserError

        return UserError
    raise AttributeError(f"module 'jaxedit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

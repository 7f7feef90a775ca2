"""jaxedit: generative image editing papers in JAX, on one small shared core."""

__version__ = "0.1.0"

"""A reference in float64, independent of JAX: a convolution and its gradients, tap by tap."""

import numpy as np

from jaxedit.layers.convolution.trilinear import Geometry


def draw(geometry: Geometry, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns random float32 x, kernel and g."""
    rng = np.random.default_rng(seed)
    shapes = (geometry.shape, geometry.kernel_shape, geometry.output_shape)
    return tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)


def functions(
    geometry: Geometry, x: np.ndarray, kernel: np.ndarray, g: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns the values of forward, input_gradient and kernel_gradient in float64."""
    x, kernel, g = (values.astype(np.float64) for values in (x, kernel, g))
    strides, padding, dilation = geometry.strides, geometry.padding, geometry.dilation
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    y, dx, dw = np.zeros(g.shape), np.zeros(padded.shape), np.zeros(kernel.shape)
    height, width = g.shape[1:3]
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            top, left = i * dilation, j * dilation
            seen = (
                slice(None),
                slice(top, top + (height - 1) * strides + 1, strides),
                slice(left, left + (width - 1) * strides + 1, strides),
            )
            y += padded[seen] @ kernel[i, j]
            dx[seen] += g @ kernel[i, j].T
            dw[i, j] = np.einsum("bhwi,bhwo->io", padded[seen], g)
    inside = slice(padding, padding + x.shape[1]), slice(padding, padding + x.shape[2])
    return {"forward": y, "input_gradient": dx[:, inside[0], inside[1]], "kernel_gradient": dw}


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Returns the largest difference over the largest value."""
    assert actual.shape == expected.shape
    return float(np.abs(np.asarray(actual, np.float64) - expected).max() / np.abs(expected).max())

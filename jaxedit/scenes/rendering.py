"""From the parameters of a scene to its record."""

from __future__ import annotations

import cv2
import numpy as np

from jaxedit.data.sources import Record
from jaxedit.host import levels
from jaxedit.scenes import bodies, captions, hair, lace, vapour
from jaxedit.scenes.backdrops import make_light, render_backdrop, shadow_on_ground
from jaxedit.scenes.drawing import make_pose
from jaxedit.scenes.parameters import CLASSES, SUBJECTS, Parameters

DRAWN_BY = {
    "cat": hair.cat, "dog": hair.dog, "woman": hair.woman, "dandelion": hair.dandelion,
    "feather": hair.feather, "pompom": hair.pompom,
    "lantern": bodies.lantern, "balloon": bodies.balloon, "bird": bodies.bird,
    "cushion": bodies.cushion,
    "bottle": vapour.bottle, "wine glass": vapour.wine_glass, "bubble": vapour.bubble,
    "jar": vapour.jar,
    "fern": lace.fern, "branch": lace.branch, "net": lace.net, "doily": lace.doily,
    "spider web": lace.spider_web, "bicycle wheel": lace.bicycle_wheel,
    "smoke": vapour.smoke, "cloud of steam": vapour.steam, "flame": vapour.flame,
    "vase": bodies.vase, "mug": bodies.mug, "ball": bodies.ball, "kite": bodies.kite,
    "star": bodies.star, "mushroom": bodies.mushroom, "fish": bodies.fish,
}  # fmt: skip
# How far a subject is turned at random, and those that stand low in the picture or fly.
TURN = {"feather": 0.6, "kite": 0.4, "star": 1.5, "doily": 1.5, "bicycle wheel": 0.3,
         "branch": 0.4, "cushion": 0.4, "fish": 0.3, "bird": 0.25, "spider web": 1.0}  # fmt: skip
_DROP = {"woman": 0.06, "dandelion": -0.06, "kite": -0.08, "balloon": -0.05, "bird": -0.06}
STEADY = 0.1


def render(parameters: Parameters, size: int = 160) -> Record:
    """Returns the record of a scene, but for its `id`.

    Its keys: `image`, `foreground`, `background` uint8 (size, size, 3); `alpha`, `trimap` uint8
    (size, size); `label` int32 (size, size), numbers of CLASSES; `kind`, `caption` str;
    `attributes` dict. `image` is alpha * foreground + (1 - alpha) * background, rounded; the
    background holds the subject's shadow, as it would in a photograph.
    """
    layers = render_layers(parameters, size)
    return finish(parameters, layers)


def render_layers(parameters: Parameters, size: int) -> dict[str, np.ndarray]:
    """Returns `foreground`, `background`, `alpha` and `label` of a scene, all uint8."""
    light = make_light(parameters, size)
    background, label = render_backdrop(parameters, size, light)
    subject = parameters.subject
    pose = make_pose(
        parameters, size, turn=TURN.get(subject, STEADY), drop=_DROP.get(subject, 0.02)
    )
    matte = DRAWN_BY[subject](parameters, pose, light.direction)
    if parameters.moving:
        matte = bodies.move(pose, matte, parameters)
    if not matte.glows:
        matte.colour = light.on(matte.colour)
        background = shadow_on_ground(parameters, background, label, matte.alpha, light)
    label[matte.body >= 0.5] = CLASSES.index(SUBJECTS[subject][1])
    return {
        "foreground": levels.rounded(matte.colour),
        "background": levels.rounded(background),
        "alpha": levels.rounded(matte.alpha * 255),
        "label": label,
    }


def finish(parameters: Parameters, layers: dict[str, np.ndarray]) -> Record:
    """Returns the whole record from what `render_layers` made."""
    alpha = layers["alpha"]
    return {
        "image": compose(layers["foreground"], layers["background"], alpha),
        "foreground": layers["foreground"].copy(),
        "background": layers["background"].copy(),
        "alpha": alpha.copy(),
        "trimap": make_trimap(parameters, alpha),
        "label": layers["label"].astype(np.int32),
        "kind": parameters.kind,
        "caption": captions.caption(parameters),
        "attributes": captions.attributes(parameters),
    }


def compose(foreground: np.ndarray, background: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Returns foreground over background, uint8, rounded to the nearest level."""
    weight = alpha[..., None].astype(np.uint16)
    # At most 255 * 255 + 127 < 2^16.
    return ((foreground * weight + background * (255 - weight) + 127) // 255).astype(np.uint8)


def make_trimap(parameters: Parameters, alpha: np.ndarray) -> np.ndarray:
    """Returns the trimap: 128 wherever 0 < alpha < 255, and some pixels to either side of it.

    The band is wider outside than inside, as drawn trimaps are. A subject so thin that nothing of
    it would stay certain keeps all that is wholly opaque.
    """
    rng = parameters.rng("trimap")
    scale = alpha.shape[0] / 160
    outer, inner = rng.uniform(0.5, 5) * scale, rng.uniform(0.0, 2.4) * scale
    opaque = (alpha == 255).astype(np.uint8)
    certain = cv2.erode(opaque, _disc(inner), borderType=cv2.BORDER_REPLICATE)
    certain = certain if certain.any() else opaque
    near = cv2.dilate((alpha > 0).astype(np.uint8), _disc(outer))
    return np.where(certain, np.uint8(255), np.where(near, np.uint8(128), np.uint8(0)))


def _disc(radius: float) -> np.ndarray:
    """Returns a disc for dilating and eroding; one pixel where the radius rounds to zero."""
    side = 2 * round(radius) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))

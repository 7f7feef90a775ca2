"""From a group to its record: several subjects, one behind the other, before a backdrop.

Distances are those of a camera whose lower edge meets the ground at `NEAR` metres. The row of a
place on the ground tells its distance, as in any perspective; a subject stands, or hovers, over
the ground at its own, is drawn the smaller the farther away, and is at that distance all over.
"""

from __future__ import annotations

import numpy as np

from jaxedit.data.sources import Record
from jaxedit.host import levels
from jaxedit.scenes import bodies, captions
from jaxedit.scenes.backdrops import (
    Layer,
    backdrop_layers,
    ground_level,
    make_light,
    render_backdrop,
    shadow_on_ground,
)
from jaxedit.scenes.drawing import Pose
from jaxedit.scenes.groups import PLACES, Group, Member
from jaxedit.scenes.noise import blend
from jaxedit.scenes.parameters import CLASSES, SIZES
from jaxedit.scenes.rendering import DRAWN_BY, STEADY, TURN

NEAR, FAR = 2.5, 100.0
# Metres to what is upright and farther away than the ground goes: one or two ranges, and trees.
_HILLS, _TREES = (60.0, 40.0), 25.0
# Metres to a wall or hedge that has no ground before it, and how far subjects go where nothing
# upright bounds them.
_WALL, _REACH = 8.0, 7.0
# How large subjects are at the front, against scenes of one; half their height on either side of
# the centre where it is not that of most; how high those hover that do not stand.
_SCALE = 0.85
_FOOT = {"woman": 1.9, "lantern": 0.65, "cushion": 0.85, "mug": 0.8, "ball": 0.8, "fish": 0.6}
_HOVER = {"balloon": 0.3, "bird": 0.34, "bubble": 0.2, "kite": 0.34, "star": 0.2, "feather": 0.15,
          "lantern": 0.16, "fish": 0.1}  # fmt: skip


def render_group(group: Group, size: int) -> Record:
    """Returns the record of a group, but for its `id`.

    Its keys: `image`, `background` uint8 (size, size, 3), the latter without the subjects but with
    their shadows; `label` int32 (size, size), numbers of CLASSES; `instance` int32 (size, size),
    0 for the backdrop, n for member n - 1; `depth` float32 (size, size), metres from NEAR to FAR;
    `caption` str; `attributes` dict. A pixel belongs to the nearest subject that covers at least
    half of it, however transparent.
    """
    return finish_group(group, render_group_layers(group, size))


def render_group_layers(group: Group, size: int) -> dict[str, np.ndarray]:
    """Returns `image`, `background`, `label`, `instance` (all uint8) and `depth` (float32)."""
    scene = group.backdrop()
    layers = backdrop_layers(scene, size)
    light = make_light(scene, size)
    picture, label = render_backdrop(scene, size, light, layers)
    eye = (ground_level(scene) - 0.1) * size
    depth, reach = _backdrop_depth(layers, label, eye)
    ground = label.copy()
    instance = np.zeros_like(label)
    mattes = {}
    for place in group.far_to_near():
        member = group.members[place]
        scene, metres = group.scene(member), NEAR + (reach - NEAR) * member.distance
        pose = _pose(group, member, size, eye, metres)
        matte = DRAWN_BY[member.subject](scene, pose, light.direction)
        if member.moving:
            matte = bodies.move(pose, matte, scene)
        if not matte.glows:
            matte.colour = light.on(matte.colour)
            picture = shadow_on_ground(scene, picture, ground, matte.alpha, light)
        mattes[place] = matte
        body = matte.body >= 0.5
        label[body] = CLASSES.index(member.category)
        instance[body] = place + 1
        depth[body] = metres
    background = picture
    for matte in mattes.values():
        picture = blend(picture, matte.colour, matte.alpha)
    return {
        "image": levels.rounded(picture),
        "background": levels.rounded(background),
        "label": label,
        "instance": instance,
        "depth": depth,
    }


def finish_group(group: Group, layers: dict[str, np.ndarray]) -> Record:
    """Returns the whole record from what `render_group_layers` made."""
    return {
        "image": layers["image"].copy(),
        "background": layers["background"].copy(),
        "label": layers["label"].astype(np.int32),
        "instance": layers["instance"].astype(np.int32),
        "depth": layers["depth"].copy(),
        "caption": captions.group_caption(group),
        "attributes": captions.group_attributes(group),
    }


def _pose(group: Group, member: Member, size: int, eye: float, metres: float) -> Pose:
    """Returns where a member is: the feet of those that stand are on the ground's row."""
    rng = group.scene(member).rng("pose")
    subject = member.subject
    x = PLACES[member.position] + rng.uniform(-0.045, 0.045)
    radius = SIZES[member.size] * _SCALE * rng.uniform(0.93, 1.08) * NEAR / metres
    feet = (eye + (size - eye) * NEAR / metres) / size
    y = feet - _FOOT.get(subject, 1.0) * radius
    if subject in _HOVER:
        y -= _HOVER[subject] * rng.uniform(0.5, 1.5)
    # Whatever else it does, more than half of it stays inside of the picture.
    y = np.clip(y, 0.25 * radius, 1 - 0.25 * radius)
    angle, mirrored = rng.normal(0, TURN.get(subject, STEADY)), rng.random() < 0.5
    return Pose(size, round(x * size), round(y * size), radius * size, float(angle), bool(mirrored))


def _backdrop_depth(
    layers: list[Layer], label: np.ndarray, eye: float
) -> tuple[np.ndarray, float]:
    """Returns the backdrop's depth in metres, float32 (H, W), and how far subjects may go.

    Args:
      layers: of the backdrop, from far to near.
      label: their label map.
      eye: the row at which the ground would vanish.
    """
    size = label.shape[0]
    rows = np.arange(size, dtype=np.float32)[:, None] + 0.5
    with np.errstate(divide="ignore"):
        metres = NEAR * (size - eye) / np.maximum(rows - eye, 0)
    ground = np.broadcast_to(np.clip(metres, NEAR, FAR), label.shape)
    depth = np.full(label.shape, _WALL, np.float32)
    lying = [name for name, _, horizon in layers if horizon > 0 and name != "sky"]
    open_air = any(name in ("sky", "hills") for name, _, _ in layers)
    hills = iter(_HILLS)
    bound = _REACH
    for number, (name, cover, horizon) in enumerate(layers):
        covered = np.ones(label.shape, bool) if cover is None else cover >= 0.5
        if name == "sky":
            value = FAR
        elif horizon > 0:
            value = ground
        elif name == "hills":
            value = next(hills)
        elif not lying:
            value = _WALL
        elif cover is None and not open_air and name != "foliage":
            # The wall stands where the ground before it begins.
            first = layers[number + 1][1] >= 0.5
            top = int(np.median(np.argmax(first, axis=0)))
            value = float(ground[top, 0])
            bound = min(bound, 0.95 * value)
        elif cover is not None and name == "wood":
            # Each trunk stands on the ground at the lowest row that it covers.
            lowest = size - 1 - np.argmax(covered[::-1], axis=0)
            value = np.broadcast_to(ground[lowest, 0][None], label.shape)
            bound = min(bound, 0.95 * float(value[covered].min(initial=FAR)))
        else:
            value = _TREES
        depth[covered] = value[covered] if isinstance(value, np.ndarray) else value
    return depth, max(bound, 1.1 * NEAR)

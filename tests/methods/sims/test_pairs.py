"""Which of two segments is in front, by hand-made depth."""

import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.methods.sims import pairs, segments

LABEL = np.zeros((16, 24), np.int32)
LABEL[:, 8:16] = 1
LABEL[4:12, 18:24] = 2


def decide(depth, rule=None, label=LABEL, classes=3):
    found = segments.find(label, classes)
    names = [segment.label for segment in found]
    decided = (rule or pairs.DepthRule())(found, depth)
    return {(names[a], names[b]): names[front] for a, b, front in decided}


def test_the_nearer_side_of_the_seam_is_in_front():
    depth = np.select([LABEL == 0, LABEL == 1], [9.0, 3.0], 5.0).astype(np.float32)
    found = decide(depth)
    assert found == {(0, 1): 1, (0, 2): 2}  # two parts of class 0 touch class 1, 1 and 2 do not
    assert decide(depth, pairs.DepthRule("disparity")) == {(0, 1): 0, (0, 2): 0}


def test_only_depth_along_the_seam_counts():
    depth = np.full(LABEL.shape, 5.0)
    depth[LABEL == 1] = 4.0
    depth[:, 11:13] = 50.0  # the middle of class 1, beyond the seam
    depth[:, :4] = 1.0
    assert decide(depth, label=np.where(LABEL == 2, 0, LABEL))[0, 1] == 1


def test_pairs_without_depth_are_left_out_unless_their_classes_decide():
    depth = np.where(LABEL == 1, np.nan, 5.0)
    depth[LABEL == 2] = 0.0
    assert decide(depth) == {}
    assert decide(np.ones(LABEL.shape)) == {}
    rule = pairs.DepthRule(flat=(0,), objects=(1,))
    assert decide(depth, rule) == {(0, 1): 1}
    assert decide(np.where(LABEL == 1, 9.0, 2.0), rule)[0, 1] == 1
    with pytest.raises(UserError, match="flat and in data.objects"):
        pairs.DepthRule(flat=(0, 1), objects=(1,))

"""Segments of label maps: thin classes, instances, contexts at the frame's edge."""

import numpy as np

from jaxedit.methods.sims import segments

HOUSE, POLE, CAR = 0, 1, 2


def test_a_pole_does_not_cut_a_house():
    label = np.full((6, 9), HOUSE)
    label[:, 4] = POLE
    assert [s.label for s in segments.find(label, 3)] == [HOUSE, HOUSE, POLE]
    house, pole = segments.find(label, 3, thin=[POLE])
    assert house.area == 48 and house.box == (0, 5, 0, 8) and not house.mask[:, 4].any()
    assert pole.label == POLE and pole.area == 6


def test_what_is_mostly_pole_is_dropped_and_boxes_fit_what_is_left():
    label = np.full((6, 9), -1)
    label[:, 4] = POLE
    label[2, 3] = CAR  # 1 of 7 pixels
    assert [s.label for s in segments.find(label, 3, thin=[POLE])] == [POLE]
    label[2:4, 0:4] = CAR
    car = segments.find(label, 3, thin=[POLE])[-1]
    assert (car.label, car.box, car.area) == (CAR, (2, 3, 0, 3), 8)


def test_instances_cut_touching_objects():
    label = np.full((4, 6), CAR)
    instance = np.repeat([[7, 7, 7, 9, 9, 9]], 4, axis=0)
    assert len(segments.find(label, 3)) == 1
    found = segments.find(label, 3, instance=instance)
    assert [s.box for s in found] == [(0, 3, 0, 2), (0, 3, 3, 5)]
    assert segments.find(label, 3, instance=instance, above=12) == []


def test_what_is_no_class_belongs_to_nothing():
    label = np.array([[255, -1, CAR, 3]])
    (car,) = segments.find(label, 3)
    assert car.box == (0, 0, 2, 2) and car.placed((1, 4)).tolist() == [[False, False, True, False]]
    assert segments.find(np.full((2, 2), 255), 3) == []
    assert segments.context_box((0, 3, 0, 11), (5, 12)) == (0, 4, 0, 11)
    assert round(segments.smallest_area((64, 64)), 2) == 31.25

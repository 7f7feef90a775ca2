"""The half of SIMS that runs on the host, against golden files: segments, order, canvases, metrics.
"""

from pathlib import Path

import numpy as np
import pytest

from jaxedit.data import classes, sources
from jaxedit.host import manifests
from jaxedit.methods.sims import bank as bank_lib
from jaxedit.methods.sims import (
    bank_building,
    canvas,
    colour_transfer,
    metrics,
    order,
    retrieval,
    segments,
    training_canvas,
)
from jaxedit.metrics import segmentation
from tests.parity import golden

# The cases of `hand.json` that are tested here; the others belong to the networks.
HAND = ("mask IoU", "connectivity", "inner band", "class prior", "two segments")
KEYS = {
    "canvas": "h w n classes sigma q r_in ratio r_out ext objects context",
    "training_canvas": "h w classes sigma min_area r_in ratio shifts",
}


def files(family):
    """Returns the files of one family by its full name: `canvas` is not `canvas_of_training`."""
    return [p for p in golden.goldens(family, "sims") if golden.File(p).info["what"].startswith(
        {"canvas": "Canvas", "ordering": "Global", "metrics": "Mean power",
         "retrieval": "Cutting", "training_canvas": "Simulated", "hand": "Cases"}[family]
    )]


def families(name):
    return pytest.mark.parametrize("path", files(name), ids=golden.name_of)


def compare(file: golden.File, output: str, actual: np.ndarray) -> None:
    expected = file.arrays[output]
    actual = np.asarray(actual, expected.dtype)
    assert actual.shape == expected.shape, output
    limit = file.info["limits"][output]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=limit, err_msg=output)


def parameters(file: golden.File, family: str) -> dict:
    found = file.info["parameters"]
    assert set(found) == set(KEYS[family].split())
    return found


@families("retrieval")
def test_segments_of_label_maps(path):
    file = golden.File(path)
    assert file.info["connectivity"] == 8 and file.info["unlabelled"] == segments.UNLABELLED
    maps = {"bank": file.arrays["bank_labels"], "query": file.arrays["query_labels"][None]}
    for name, labels in maps.items():
        found = [
            (number, one) for number, label in enumerate(labels)
            for one in segments.find(label, file.info["classes"], above=file.info["min_area"])
        ]
        if name == "bank":
            compare(file, "bank_image", [number for number, _ in found])
        compare(file, f"{name}_class", [one.label for _, one in found])
        compare(file, f"{name}_area", [one.area for _, one in found])
        compare(file, f"{name}_box", [one.box for _, one in found])
        size = labels.shape[1:]
        compare(file, f"{name}_context_box",
                [segments.context_box(one.box, size) for _, one in found])


class GoldenLayouts(sources.Source):
    """The golden label maps as records, without colours of their own."""

    def __init__(self, labels):
        super().__init__("golden label maps")
        self.labels = np.where(labels == segments.UNLABELLED, 255, labels)

    def __len__(self):
        return len(self.labels)

    def name(self, index):
        return str(index)

    def _read(self, index):
        image = np.zeros((*self.labels.shape[1:], 3), np.uint8)
        return {"id": self.name(index), "label": self.labels[index], "image": image}


@families("retrieval")
def test_retrieval(path, tmp_path):
    file = golden.File(path)
    labels, layout, count = (
        file.arrays["bank_labels"], file.arrays["query_labels"], file.info["classes"]
    )
    settings = bank_building.Settings(
        labels.shape[1:], classes.of_names([str(i) for i in range(count)]),
        above_share=file.info["min_area"] / layout.size,
    )
    list(bank_building.build(GoldenLayouts(labels), tmp_path, settings))
    manifests.seal(tmp_path, {"facts": bank_building.merge(tmp_path, settings)})
    bank = bank_lib.opened(tmp_path)
    found = segments.find(layout, count, above=file.info["min_area"])
    wanted = [retrieval.query(one, layout, count) for one in found]
    searcher = retrieval.Searcher(bank)
    shared = np.array([[searcher.overlap(one, n) for n in range(len(bank))] for one in wanted])
    union = lambda own, theirs, both: np.add.outer(own, theirs) - both
    mask = shared[..., 0] / union([one.area for one in wanted], bank.area, shared[..., 0])
    areas = [one.context_area for one in wanted]
    context = shared[..., 1] / union(areas, bank.context_area, shared[..., 1])
    same = np.equal.outer([one.label for one in found], bank.label)
    compare(file, "mask_iou", mask)
    compare(file, "context_iou", context)
    compare(file, "score", np.where(same, mask + context, -1))
    for how in retrieval.SEARCHES:
        best = retrieval.Searcher(bank, how=how).top(wanted, file.info["topk"])
        compare(file, "topk", [[one.number for one in row] for row in best])
        compare(file, "topk_score", [[one.score for one in row] for row in best])
        alone = retrieval.Searcher(bank, how=how, context=False).top(wanted, file.info["topk"])
        for place, row in enumerate(alone):  # without any overlap ours finds nothing
            expected = file.arrays["topk_mask_only"][place]
            assert [one.number for one in row] == expected[: len(row)].tolist()
            assert (mask[place, expected[len(row) :]] == 0).all()


@families("ordering")
def test_one_order_of_all(path):
    file = golden.File(path)
    for case in file.info["cases"]:
        assert set(case) <= {"name", "n", "edges", "priority", "order", "removed"}
        edges = [order.Edge(*edge) for edge in case["edges"]]
        found, removed = order.whole(case["n"], edges, case.get("priority"))
        assert found == case["order"], case["name"]
        assert [[edge.back, edge.front] for edge in removed] == case["removed"], case["name"]
    compare(file, "behind_share", order.behind_share(file.arrays["frequency"]))
    compare(file, "coarse_order", order.class_prior(file.arrays["frequency"]))


@families("canvas")
def test_canvas(path):
    file = golden.File(path)
    given, arrays = parameters(file, "canvas"), file.arrays
    elision = canvas.Elision(given["r_in"], given["ratio"], given["r_out"], given["ext"])

    def composed(front):
        return canvas.compose(
            arrays["colour"], arrays["mask"], arrays["cls"], arrays["order"], front=front,
            elision=elision, noise=arrays["noise"],
        )

    found = composed(arrays["front"])
    compare(file, "canvas_before_outer", found.colour)
    compare(file, "owner", found.owner)
    compare(file, "label", found.label)
    found = canvas.erase_outside(found, given["objects"], given["context"], elision)
    compare(file, "canvas", found.colour)
    compare(file, "present", found.present)
    plain = composed(None)
    compare(file, "owner_plain_order", plain.owner)
    plain = canvas.erase_outside(plain, given["objects"], given["context"], elision)
    compare(file, "canvas_plain_order", plain.colour)


@families("training_canvas")
def test_training_canvas(path):
    file = golden.File(path)
    given, arrays = parameters(file, "training_canvas"), file.arrays
    found = segments.find(arrays["labels"], given["classes"], above=given["min_area"])
    compare(file, "segment_class", [one.label for one in found])
    boxes = [segments.inside(one.box) for one in found]
    colours = [donor[box].reshape(-1, 3)
               for donor, box in zip(arrays["donor_image"], boxes, strict=True)]
    compare(file, "transfer_matrix", [
        colour_transfer.between(arrays["image"][box], theirs)[1]
        for box, theirs in zip(boxes, colours, strict=True)
    ])
    donors = [
        training_canvas.OutlineDonor(mask > 0, theirs if transferred else None)
        for mask, theirs, transferred in zip(
            arrays["donor_mask"], colours, arrays["transfer"], strict=True
        )
    ]
    elision = canvas.Elision(given["r_in"], given["ratio"], 0)
    made = training_canvas.simulate(arrays["image"], found, donors, elision, arrays["noise"])
    compare(file, "canvas", made.colour)
    compare(file, "noisy_labels", made.label)


@families("metrics")
def test_metrics(path):
    file = golden.File(path)
    spectrum = metrics.power(file.arrays["images"]).mean(0)
    compare(file, "log10_radial_power", metrics.log_radial(spectrum))
    count = len(file.arrays["iou"])
    counts = segmentation.confusion(
        file.arrays["seg_truth"], file.arrays["seg_prediction"], count
    )
    compare(file, "confusion", counts)
    compare(file, "iou", segmentation.intersection_over_union(counts))
    compare(file, "mean_iou", segmentation.mean_iou(counts))
    compare(file, "pixel_accuracy", segmentation.pixel_accuracy(counts))


def hand() -> list:
    cases = [case for path in files("hand") for case in golden.File(path).info["cases"]]
    return [case for case in cases if case["name"].startswith(HAND)]


@pytest.mark.parametrize("case", hand(), ids=lambda case: "sims-" + case["name"])
def test_by_hand(case):
    array = lambda name: np.asarray(case[name])
    match case["name"]:
        case "mask IoU":
            wanted, *bank = (np.asarray(mask) > 0 for mask in [case["query"], *case["bank"]])
            shared = [np.bitwise_count(np.packbits(wanted) & np.packbits(m)).sum() for m in bank]
            ratios = [retrieval.ratio(n, wanted.sum(), m.sum())
                      for n, m in zip(shared, bank, strict=True)]
            np.testing.assert_allclose(ratios, case["iou"], atol=1e-6)
        case "connectivity":
            found = segments.find(array("labels"), int(array("labels").max()) + 1)
            assert [len(found), [one.label for one in found]] == case["counts_8"]
        case "inner band":
            band = canvas.inner_band(array("mask"), case["radius"])
            np.testing.assert_array_equal(band, array("band"))
        case "class prior":
            shares = order.behind_share(array("frequency"))
            np.testing.assert_allclose(shares, case["share"], atol=1e-6)
            assert order.class_prior(array("frequency")).tolist() == case["order"]
        case _:
            masks = array("mask")
            colours = np.asarray([0.25, 0.75])[:, None, None, None] * np.ones((*masks.shape, 3))
            made = canvas.compose(colours, masks, [0, 1], case["order"], front=array("front"))
            np.testing.assert_array_equal(made.owner, array("owner"))
            np.testing.assert_allclose(made.colour[..., 0], array("red_channel"))


def test_every_file_is_read_by_some_test():
    """A family that lost its files would pass without a word."""
    if golden.folder() == golden.DEFAULT_FOLDER:
        assert all(files(name) for name in
                   ("canvas", "ordering", "metrics", "retrieval", "training_canvas", "hand"))
        assert {Path(p).stem for p in files("canvas")} == {"canvas"}

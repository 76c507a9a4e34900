"""The best, middle and worst predictions of an evaluation with their truth, as one picture to look at."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from baseline_network.evaluation import pose_errors, record_evaluation
from baseline_network.evaluation.record_evaluation import RecordErrors
from baseline_network.network import targets
from baseline_network.prediction.predictor import Predictor
from tfrecords import reader
from tools.drawing import drawing, figures, sheets
from tools.pose import joints

_PANEL = 300


def chosen(errors: np.ndarray, each: int) -> list[tuple[str, int]]:
    """(what, row) of the `each` best, middle and worst of errors [n]; NaN are none, no row comes twice."""
    order = [int(i) for i in np.argsort(errors, kind="stable") if np.isfinite(errors[i])]
    each = min(each, -(-len(order) // 3))
    best, worst = order[:each], order[max(len(order) - each, each) :]
    rest = order[len(best) : len(order) - len(worst)]
    start = max(0, (len(rest) - each) // 2)
    middle = rest[start : start + each]
    return [(name, row) for name, rows in (("best", best), ("median", middle), ("worst", worst)) for row in rows]


def contact_sheet(
    predictor: Predictor,
    where: reader.Where,
    result: RecordErrors,
    each: int = 4,
    min_provenance: int = joints.MADE,
    published_thorax: bool = False,
) -> np.ndarray | None:
    """The sheet, uint8 `[H, W, 3]` BGR; None when no prediction can be ranked.

    For each person: the picture with the prediction, the truth in grey beneath it; and where there is a 3D truth, the
    predicted pose in its room, the truth in grey. Errors are those by which the people are ranked
    (`RecordErrors.person_errors`).

    Args:
      each: how many best, middle and worst ones. The rest as of `record_evaluation.evaluate_records`.
    """
    ranked, text = result.person_errors()
    picked = chosen(ranked, each)
    if not picked or not text:
        return None
    records = record_evaluation.read_some(where, [result.numbers[row] for _, row in picked])
    cells, captions = [], []
    for name, row in picked:
        number = int(result.numbers[row])
        panels = _panels(predictor, records[number], result.boxes[row], min_provenance, published_thorax)
        cells.append(np.concatenate(panels, 1))
        captions.append(f"{name}: {text.format(ranked[row])}, record {number}\n{result.actions[row]}")
    return sheets.contact_sheet(cells, 1 if each == 1 else 2 if len(cells) < 9 else 3, captions)


def _panels(
    predictor: Predictor, record: dict[str, np.ndarray], box: np.ndarray, min_provenance: int, published_thorax: bool
) -> list[np.ndarray]:
    predicted, _ = record_evaluation.predict_records(predictor, record["image"].tolist(), box[None], [True])
    truth = pose_errors.truth_of(record, min_provenance)
    image = tf.io.decode_image(record["image"][0], channels=3, expand_animations=False).numpy()[..., ::-1]
    points, joint_mask = predicted["points"][0], truth["joint_mask_2d"][0]
    picture, moved, true_points = _square(image, box, points, truth["points"][0])
    picture = drawing.draw_skeleton_2d(
        picture, true_points, "mpii16", joint_mask, colours=[drawing.GHOST_COLOUR] * 3, thickness=4
    )
    panels = [drawing.draw_skeleton_2d(picture, moved, "mpii16", thickness=2)]
    errors = pose_errors.errors(predicted, truth, published_thorax)
    measured = np.isfinite(errors["mpjpe_published"][0])
    if measured.any():
        ghost = np.where(measured[:, None], truth["pose_3d"][0] - truth["pose_3d"][0, targets.PELVIS], np.nan)
        pose = predicted["pose_3d"][0]
        panels.append(figures.figure_3d(pose, None, "mpii16", ghost=ghost, size=(_PANEL, _PANEL)))
    return panels


def _square(image: np.ndarray, box: np.ndarray, *poses: np.ndarray) -> tuple[np.ndarray, ...]:
    """The square that the network sees, as large as a panel, black outside the picture, and poses in its pixels."""
    import cv2

    side = max(box[2:].max(), 1.0) * 1.25
    scale = _PANEL / side
    corner = box[:2] + box[2:] / 2 - side / 2
    # Centres of pixels, where OpenCV and drawing count from, lie half a pixel from where coordinates here do.
    matrix = np.array([[scale, 0, (0.5 - corner[0]) * scale - 0.5], [0, scale, (0.5 - corner[1]) * scale - 0.5]])
    interpolation = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    picture = cv2.warpAffine(np.ascontiguousarray(image), matrix, (_PANEL, _PANEL), flags=interpolation)
    return (picture, *((pose - corner) * scale - 0.5 for pose in poses))

"""The person's mask in a region: on the person whose joints are annotated, and nothing outside of the region."""

import numpy as np

from tools.detection.regions import Region
from tools.pose import joints


def test_the_mask_covers_annotated_joints_and_nothing_outside(lspet_val):
    from baseline_network.training import body_head_people
    from tools.detection.person_mask import PersonMask

    people, network = body_head_people.AnnotatedPeople(lspet_val), PersonMask()
    limbs = [joints.joint_set("lsp14").index(side + part) for side in "LR" for part in ("Shoulder", "Hip", "Knee")]
    on, beyond = [], []
    for row in people.rows[:8]:
        pixels, points = people.pixels(int(row)), people.points[row]
        known = points[np.isfinite(points).all(-1)]
        middle, reach = known.mean(0), np.ptp(known, axis=0).max()
        # Turned by half a right angle: a mask that is put back the wrong way would miss the joints.
        region = Region(*middle, 1.5 * reach, 0.8)
        mask = network.of(pixels, region)
        assert mask.shape == pixels.shape[:2]
        columns, rows = np.rint(points[limbs][np.isfinite(points[limbs]).all(-1)]).astype(int).T
        on += mask[np.clip(rows, 0, mask.shape[0] - 1), np.clip(columns, 0, mask.shape[1] - 1)].tolist()
        grid = np.stack(np.meshgrid(np.arange(mask.shape[1]), np.arange(mask.shape[0])), -1)
        outside = ~((region.from_picture(grid) > 0) & (region.from_picture(grid) < 1)).all(-1)
        beyond += mask[outside].tolist()
        assert mask.mean() < 0.6
    assert np.mean(np.array(on) > 0.5) > 0.8
    assert max(beyond) < 0.5
    assert np.mean(beyond) < 0.01

"""What tests of inputs share: key points of others' joints, files, and all that an input gives."""

import gzip

import numpy as np

from tools.pose import joints


def coco(poses):
    """[N, 17, 3] x, y, v in COCO's order, of our limbs and a made-up face."""
    ours, theirs = joints.POSE17, joints.joint_set("coco17")
    found = np.zeros((len(poses), 17, 3), np.float32)
    for i, name in enumerate(theirs.joints):
        name = name.replace("Ankle", "Foot")
        source = ours.index(name) if name in ours.joints else 0
        found[:, i, :2], found[:, i, 2] = poses[:, source], 2
    return found


def everything(opened, size=4, start=0):
    batches = list(opened.batches(start, size))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    return {
        name: np.concatenate([np.asarray(getattr(batch, name)) for batch in batches])
        for name in ("poses_2d", "provenance", "frame", "file", "sequence", "image_size", "camera_kind", "intrinsics")
    }


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path

"""Principal points outside the picture, which are those of another size of it."""

import types

import numpy as np

from label_generator.labelling import cameras, summaries


def test_intrinsics_of_another_size_of_the_picture():
    options = types.SimpleNamespace(camera=cameras.CameraChoice("auto", image_size=(640, 480)))
    centres = [(320, 240), (700, 240), (320, 500), (-1, 240), (np.nan, np.nan), (900, 500)]
    intrinsics = np.array([(1000, 1000, *centre) for centre in centres], np.float32)
    sizes = np.array([(640, 480)] * 3 + [(-1, -1)] * 2 + [(1920, 1080)])
    assert summaries._centre_is_outside(intrinsics, sizes, options).tolist() == [False, True, True, True, False, False]
    options.camera = cameras.CameraChoice("h36m", image_size=(640, 480))
    assert not summaries._centre_is_outside(intrinsics, sizes, options).any()

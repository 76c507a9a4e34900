"""The mask of the person in a region, from MediaPipe's landmark network; finding people does without it."""

from __future__ import annotations

import numpy as np

from tools.detection import inner_outputs, mediapipe_models, regions
from tools.detection.regions import Region

# The mask's logits in the landmark network's file: [256, 256, 1].
_TENSOR, _SIDE = 297, 256


class PersonMask:
    """The landmark network for its mask alone. Not to be shared by threads."""

    def __init__(self, threads: int = 1):
        """Raises `InputError` without the models."""
        import tensorflow as tf

        content = inner_outputs.with_outputs(mediapipe_models.checked_file("landmarks"), [_TENSOR])
        self._interpreter = tf.lite.Interpreter(model_content=content, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]

    def of(self, picture: np.ndarray, region: Region) -> np.ndarray:
        """[H, W] 0..1 of a picture [H, W, 3] uint8 BGR: how much of a pixel is the person in a region; 0 outside."""
        import cv2

        square = regions.cut(picture, region, _SIDE)[..., ::-1]
        self._interpreter.set_tensor(self._input, square[None].astype(np.float32) / np.float32(255))
        self._interpreter.invoke()
        logits = self._interpreter.get_tensor(_TENSOR)[0, ..., 0]
        shares = 1 / (1 + np.exp(-np.clip(logits, -50.0, 50.0)))
        # Pixel -> place in the square -> cell, whose middle is half a cell further.
        turn = region.turn.T * (_SIDE / region.side)
        shift = np.full(2, _SIDE / 2 - 0.5) - turn @ [region.x, region.y]
        matrix = np.column_stack([turn, shift])
        size = picture.shape[1], picture.shape[0]
        return cv2.warpAffine(shares, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)

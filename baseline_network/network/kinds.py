"""The kinds of baseline network: the published hourglass, and a head on MediaPipe's landmark network.

Both take and give the same (`hourglass.build`), so that what trains, runs and exports a network asks here.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from baseline_network.network import folded_hourglass, folded_landmark_head, hourglass, landmark_encoder
from tools.training import op_forms

HOURGLASS = "hourglass3d"
SIZES = {
    HOURGLASS: hourglass.Sizes,
    landmark_encoder.KIND: landmark_encoder.Sizes,
    landmark_encoder.LIFTING_KIND: landmark_encoder.LiftingSizes,
}
_ON_LANDMARKS = (landmark_encoder.KIND, landmark_encoder.LIFTING_KIND)
# Answers of a network: images [B, r, r, 3], BGR / 256, to heatmaps and depths.
Answer = Callable[[tf.Tensor], dict[str, tf.Tensor]]


def kind_of(sizes: hourglass.Sizes) -> str:
    """The kind that has these sizes."""
    return next(kind for kind, its in SIZES.items() if type(sizes) is its)


def sizes_of(model: tf.keras.Model) -> hourglass.Sizes:
    """The sizes that a model of `build` was made with."""
    return (landmark_encoder if model.name in _ON_LANDMARKS else hourglass).sizes_of(model)


def build(
    sizes: hourglass.Sizes,
    *,
    synchronized: bool = False,
    dtype: hourglass.DType = None,
    form: str = op_forms.AUTO,
) -> tf.keras.Model:
    """The network of these sizes; arguments and result as of `hourglass.build`.

    Raises:
      InputError: it needs MediaPipe's wheel, which is not installed.
    """
    if isinstance(sizes, landmark_encoder.Sizes):
        return landmark_encoder.build(sizes, synchronized=synchronized, dtype=dtype)
    return hourglass.build(sizes, synchronized=synchronized, dtype=dtype, form=form)


def answer_of(model: tf.keras.Model) -> Answer:
    """A model without its training, the same numbers but for rounding; what is run and exported."""
    if model.name in _ON_LANDMARKS:
        return folded_landmark_head.FoldedLandmarkHead(model)
    return folded_hourglass.FoldedHourglass(model)

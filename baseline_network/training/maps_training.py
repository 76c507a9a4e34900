"""A training on inner maps that are kept on disk (`--cached_maps`): what is trained, and the batches for it.

Either the whole head, on the maps, or with `--frozen_places` the dense layers of its depths alone, on what the rest of
the head makes of each crop, which is computed once and kept in memory.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from baseline_network.network import landmark_encoder
from baseline_network.training import cached_maps, losses, trainer, training_data, training_flags
from tfrecords import reader
from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.training.session import TrainingDevices

# Of --cached_maps' settings, those that decide the crops beside the augmentation's.
_OF_CROPS = (
    *("batch_size", "seed", "mix", "unaugmented", "scaled_3d", "margin", "quality_power", "min_quality"),
    *("train_records", "decisions"),
)
_ROWS_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class MapsTraining:
    """Attributes: maps, of whose first `shards` shards it is; frozen_places: only the depths' dense layers learn."""

    maps: cached_maps.KeptMaps
    shards: int
    frozen_places: bool

    def trainer_of(
        self, network: tf.keras.Model, weights: losses.Weights, batch_size: int
    ) -> trainer.Trainer | DepthTrainer:
        """What trains `network`, of `landmark_encoder.build`, on `batches_of`."""
        if self.frozen_places:
            return DepthTrainer(landmark_encoder.lifting_of(network), weights, batch_size)
        head = landmark_encoder.head_of(network)
        return trainer.Trainer(head, weights, batch_size, codes=self.maps.codes)

    def batches_of(self, network: tf.keras.Model, batch_size: int, seed: int) -> Callable[[int], tf.data.Dataset]:
        """Makes endless batches from a step on."""
        if not self.frozen_places:
            return functools.partial(self.maps.make_batches, self.shards, batch_size, seed)
        arrays = seen_of(self.maps, self.shards, network)

        def make(start_step: int) -> tf.data.Dataset:
            return reader.from_arrays(
                arrays, batch_size, shuffle_seed=seed, start_step=start_step, epochs=None, drop_remainder=True
            )

        return make


class DepthTrainer(trainer.Trainer):
    """Trains the dense layers of a lifting head's depths; the depths read from maps stay as they are."""

    def __init__(self, lifting: tf.keras.Model, weights: losses.Weights, batch_size: int) -> None:
        """lifting: of `landmark_encoder.lifting_of`."""
        super().__init__(lifting, weights, batch_size, sizes=landmark_encoder.LiftingSizes())

    def losses_of(self, batch: dict[str, tf.Tensor], training: bool) -> dict[str, tf.Tensor]:
        """The parts of the loss, each [B]; that of the heatmaps is 0."""
        depths = batch["there"] + self.network(batch["seen"], training=training)
        of_depths = losses.robust_depth_loss(depths, batch["depths"], batch["depth_mask"]) * batch["depth_weights"]
        loss = self._weights.reg_weight * of_depths
        return {"loss": loss, "heatmap_loss": tf.zeros_like(loss), "depth_loss": of_depths}


def seen_of(maps: cached_maps.KeptMaps, shards: int, network: tf.keras.Model) -> dict[str, np.ndarray]:
    """What the dense layers of the depths see of each crop, and with what their sum is compared.

    Returns:
      seen [N, n] float32, there [N, 16], and depths, depth_mask, depth_weights of `training_data.make_batches`.
    """
    layers = [network.get_layer(name).output for name in ("depths.all", "depths.there")]
    look = tf.keras.Model(network.get_layer("landmark_maps").output, layers)
    run = tf.function(lambda batch: look([*maps.codes.decode(batch["codes"]), batch["numbers"]], training=False))
    parts: list[Sequence[np.ndarray]] = []
    for batch in maps.in_order(shards, _ROWS_AT_ONCE):
        seen, there = run(batch)
        labels = (batch[name] for name in ("depths", "depth_mask", "depth_weights"))
        parts.append([values.numpy() for values in (seen, there, *labels)])
    names = ("seen", "there", "depths", "depth_mask", "depth_weights")
    return {name: np.concatenate(several) for name, several in zip(names, zip(*parts))}


def check(flags: Flags, devices: TrainingDevices) -> None:
    """Raises `InputError` when --cached_maps or --frozen_places is asked for where it cannot be."""
    if not flags.cached_maps:
        for name, what in (("maps_dir", "are kept there"), ("frozen_places", "are trained on")):
            if getattr(flags, name):
                raise InputError(f"--{name}: --cached_maps says how many pictures' maps {what}")
        return
    if flags.encoder != "mediapipe":
        raise InputError("--cached_maps is for --encoder=mediapipe, whose maps stay as they are")
    if flags.cache_pictures or flags.data_service or devices.replicas > 1:
        raise InputError("--cached_maps is for one device, without --cache_pictures and --data_service")
    if flags.frozen_places and not flags.weights:
        raise InputError("--frozen_places: without --weights the places would stay random")
    if flags.var_weight:
        raise InputError("--var_weight: not with --cached_maps")


def keep(
    flags: Flags,
    sets: Sequence[training_data.TrainingSet],
    batches: training_data.BatchOptions,
    settings: dict[str, Any],
    directory: str,
) -> MapsTraining | None:
    """Makes the maps of --cached_maps, where they are not there yet; None without that flag.

    Args:
      settings: of the training (`run.collect_settings`). directory: of the experiment.

    Raises:
      InputError: --maps_dir holds maps of other crops.
    """
    if not flags.cached_maps:
        return None
    description = {name: settings[name] for name in (*_OF_CROPS, *training_flags.AUGMENTATION)}
    make = functools.partial(training_data.make_batches, sets, batches)
    maps = cached_maps.KeptMaps(flags.maps_dir or os.path.join(directory, "maps"), description, make)
    shards = -(-flags.cached_maps // (cached_maps.SHARD_STEPS * flags.batch_size))
    with training_data.named_pictures([one.where for one in sets]):
        maps.make(range(shards))
    return MapsTraining(maps, shards, flags.frozen_places)

"""The chain of networks, 2D poses -> coarse 3D poses, that a set of weights folders makes.

Both chains have the same steps, which `lifter` takes: `to_search_camera` brings joints into the view that the networks
know, and `reconstruct` (or `reconstruct_both`, for the mirror image too) runs the networks; see `views`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Union

import tensorflow as tf

from label_generator.lifting.canonical_chain import CanonicalChain
from label_generator.lifting.published_chain import PublishedChain
from label_generator.networks.network_files import Network
from label_generator.stages import names
from tools.cli.errors import InputError

Chain = Union[PublishedChain, CanonicalChain]


def stages_of(networks: Mapping[str, Network]) -> list[str]:
    """The stages that a chain of these networks runs, in order."""
    alone = names.DIRECT in networks and names.POSE3D not in networks
    return [names.DIRECT] if alone else list(names.PAPER)


def chain_of(networks: Mapping[str, Network], compute_dtype: tf.DType = tf.float32) -> Chain:
    """The chain that these networks make: left2right and pose3d, or direct alone.

    Raises:
      InputError: a stage is missing, or the networks are of two recipes.
    """
    stages = stages_of(networks)
    missing = [stage for stage in stages if stage not in networks]
    if missing:
        raise InputError(f"weights: no network of stage {' and '.join(missing)} among {', '.join(networks) or 'none'}")
    recipes = {networks[stage].recipe for stage in stages}
    if len(recipes) > 1:
        raise InputError(f"weights: {' and '.join(stages)} are of different recipes")
    used = {stage: networks[stage] for stage in stages}
    if "published" in recipes:
        return PublishedChain(used, compute_dtype)
    return CanonicalChain(used, compute_dtype)

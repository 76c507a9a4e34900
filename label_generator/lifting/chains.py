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
from label_generator.lifting.settings import used_networks
from label_generator.networks.network_files import Network

Chain = Union[PublishedChain, CanonicalChain]


def chain_of(networks: Mapping[str, Network], compute_dtype: tf.DType = tf.float32) -> Chain:
    """The chain that these networks make: left2right and pose3d, or direct alone.

    Raises:
      InputError: a stage is missing, or the networks are of two recipes.
    """
    used = {network.stage: network for network in used_networks(networks)}
    if "published" in {network.recipe for network in used.values()}:
        return PublishedChain(used, compute_dtype)
    return CanonicalChain(used, compute_dtype)

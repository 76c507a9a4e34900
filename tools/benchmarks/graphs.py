"""The operations of the hourglass' training step, counted in its graph, beside those of a plain Keras model.

What a GPU would have to launch can be counted without one: kernels, casts, layout changes, gathers, programs that XLA
would compile one by one. `plain` is the same network in Keras' own layers with Keras' RMSprop, as Keras runs it where
there is a GPU.
"""

from __future__ import annotations

import collections
from typing import Any

import numpy as np

from baseline_network.network import hourglass
from baseline_network.training import losses, trainer
from tools.benchmarks.common import BenchmarkSettings, Row
from tools.benchmarks.hourglass import targets

# What is counted, by the names under which the table shows it.
GROUPS: dict[str, tuple[str, ...]] = {
    "convolutions and their gradients": ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"),
    "fused batch norms and their gradients": ("FusedBatchNormV3", "FusedBatchNormGradV3"),
    "casts": ("Cast",),
    "transpositions": ("Transpose",),
    "gathers and scatters": ("GatherV2", "ResourceGather", "UnsortedSegmentSum", "ScatterNd", "TensorScatterUpdate"),
    "tiles and broadcasts": ("Tile", "BroadcastTo"),
    "resizes, nearest": ("ResizeNearestNeighbor",),
    "their gradients, refused under deterministic operations": ("ResizeNearestNeighborGrad",),
    "max pooling's gradients": ("MaxPoolGrad",),
    "updates of variables in one kernel": ("ResourceApplyAdagradV2", "ResourceApplyAdam"),
    "other assignments": ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"),
}
# Operations that start no kernel.
_FREE = {
    *("Const", "ReadVariableOp", "Identity", "IdentityN", "NoOp", "Placeholder", "Reshape", "Shape", "ExpandDims"),
    *("StridedSlice", "Pack", "Squeeze", "StatefulPartitionedCall", "PartitionedCall", "If", "StatelessIf", "Size"),
    *("BroadcastGradientArgs", "StopGradient", "Prod", "Maximum", "Range", "ConcatV2_int"),
}


def operations(function: Any) -> collections.Counter:
    """How often each type of operation stands in a concrete function and in all functions that it calls.

    A function that is called twice counts twice; of a condition all branches count.
    """
    graph = function.graph.as_graph_def()
    library = {one.signature.name: one for one in graph.library.function}

    def count(nodes: Any) -> collections.Counter:
        found: collections.Counter = collections.Counter()
        for node in nodes:
            found[node.op] += 1
            for value in node.attr.values():
                for name in [value.func.name, *(f.name for f in value.list.func)]:
                    if name in library:
                        found += count(library[name].node_def)
        return found

    return count(graph.node)


def compiled_programs(function: Any) -> int:
    """How many programs XLA compiles and starts one by one in a concrete function."""
    graph = function.graph.as_graph_def()
    compiled = {one.signature.name for one in graph.library.function if one.attr["_XlaMustCompile"].b}
    nodes = [*graph.node, *(node for one in graph.library.function for node in one.node_def)]
    return sum(node.attr["f"].func.name in compiled for node in nodes)


def training_step(
    sizes: hourglass.Sizes, batch_size: int, dtype: str = "float32", form: str = "cpu", former_optimizer: bool = False
) -> Any:
    """The concrete function of one step of `trainer.Trainer`.

    former_optimizer: update each variable by Keras' elementary operations, compiled one by one as Keras does on GPUs.
    """
    optimizer = trainer.make_optimizer("rmsprop", 2.5e-4, dtype)
    if former_optimizer:
        optimizer = _keras_optimizer(dtype)
    model = trainer.Trainer(hourglass.build(sizes, dtype=dtype, form=form), losses.Weights(), batch_size)
    return _step(model, optimizer, sizes, batch_size)


def plain_step(sizes: hourglass.Sizes, batch_size: int, dtype: str = "float32") -> Any:
    """The same step of the network in Keras' own layers, with Keras' RMSprop."""
    import tensorflow as tf

    class Plain(tf.keras.layers.Layer):
        """Keras' `UpSampling2D` and an addition."""

        def __init__(self, **options: Any):
            super().__init__(**options)
            self.enlarge = tf.keras.layers.UpSampling2D(2, interpolation="nearest", dtype=dtype)

        def call(self, inputs: Any) -> Any:
            return inputs[0] + self.enlarge(inputs[1])

    def copy(layer: Any) -> Any:
        return Plain(name=layer.name, dtype=dtype) if isinstance(layer, hourglass.AddUpsampled) else layer

    network = tf.keras.models.clone_model(hourglass.build(sizes, dtype=dtype, form="gpu"), clone_function=copy)
    model = trainer.Trainer(network, losses.Weights(), batch_size)
    return _step(model, _keras_optimizer(dtype), sizes, batch_size)


def _keras_optimizer(dtype: str) -> Any:
    import tensorflow as tf

    optimizer = tf.keras.optimizers.RMSprop(2.5e-4, rho=0.99, epsilon=1e-8)
    optimizer.jit_compile = True  # as on GPUs
    return tf.keras.mixed_precision.LossScaleOptimizer(optimizer) if dtype == "mixed_float16" else optimizer


def _step(model: Any, optimizer: Any, sizes: hourglass.Sizes, batch_size: int) -> Any:
    import tensorflow as tf

    model.compile(optimizer=optimizer)
    batch = targets(np.random.default_rng(0), sizes, batch_size)
    tensors = {name: tf.constant(value) for name, value in batch.items()}
    function = tf.function(model.train_step, autograph=False).get_concrete_function(tensors)
    function.model = model  # a graph does not keep its variables alive
    return function


def hlo(function: Any) -> str:
    """The program that XLA compiles of a concrete function of `training_step`, before the device's own passes."""
    import tensorflow as tf

    inputs = [tf.zeros(spec.shape, spec.dtype) for spec in tf.nest.flatten(function.structured_input_signature)]
    names = sorted(function.structured_input_signature[0][0])
    batch = dict(zip(names, inputs))
    compiled = tf.function(lambda batch: function(batch), autograph=False, jit_compile=True)
    return str(compiled.experimental_get_compiler_ir(batch)(stage="hlo"))


def measure(settings: BenchmarkSettings) -> list[Row]:
    """All figures of this section: counts, of the published size unless `settings.scale` is small."""
    sizes = hourglass.Sizes() if settings.scale >= 0.25 else hourglass.Sizes(1, 1, 16, 64)
    rows = []
    for dtype in ("mixed_float16", "float32"):
        steps = {
            "plain Keras": lambda dtype=dtype: plain_step(sizes, 4, dtype),
            "before, variables one by one": lambda dtype=dtype: training_step(sizes, 4, dtype, "cpu", True),
            "form cpu": lambda dtype=dtype: training_step(sizes, 4, dtype, "cpu"),
            "form gpu": lambda dtype=dtype: training_step(sizes, 4, dtype, "gpu"),
            "form xla": lambda dtype=dtype: training_step(sizes, 4, dtype, "xla"),
        }
        for name, make in steps.items():
            step = make()
            counts = operations(step)
            title = f"{dtype}, {name}"
            launched = sum(number for kind, number in counts.items() if kind not in _FREE)
            rows.append(Row(f"{title}: operations that start a kernel", launched, "operations"))
            rows.append(Row(f"{title}: programs of XLA, one by one", compiled_programs(step), "programs"))
            for group, kinds in GROUPS.items():
                rows.append(Row(f"{title}: {group}", sum(counts[kind] for kind in kinds), "operations"))
    return rows

"""The operations of the hourglass' training step, counted in its graph, beside those of a plain Keras model.

What a GPU would have to launch can be counted without one: kernels, casts, layout changes, gathers, programs that XLA
would compile one by one. `plain` is the same network in Keras' own layers with Keras' RMSprop, as Keras runs it where
there is a GPU. `origins` tells which part of a step the kernels are of.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
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
# Operations that start no kernel on a GPU: shapes, which are the host's, and variables that take over a tensor.
_FREE = {
    *("Const", "ReadVariableOp", "Identity", "IdentityN", "NoOp", "Placeholder", "Reshape", "Shape", "ExpandDims"),
    *("StridedSlice", "Pack", "Squeeze", "StatefulPartitionedCall", "PartitionedCall", "If", "StatelessIf", "Size"),
    *("BroadcastGradientArgs", "StopGradient", "Prod", "Maximum", "Range", "ConcatV2_int", "ShapeN", "FloorDiv"),
    "AssignVariableOp",
}
# Parts of a step by the first name of an operation, as `trainer.Trainer` gives it.
_PARTS = {
    "prepare": "pictures",
    "forward": "network and loss",
    "gradient_tape": "their gradients",
    "backward": "their gradients",
    "group": "variables and gradients as vectors, their casts",
    "unscale": "loss scale out of the gradients",
    "update": "update of the variables",
    "metrics": "metrics",
}
_CASTS, _FINITE = "casts of single variables and their gradients", "gradients looked through for what is not finite"
_AVERAGES = "batch norm's averages"


def operations(function: Any) -> collections.Counter:
    """How often each type of operation stands in a concrete function and in all functions that it calls.

    A function that is called twice counts twice; of a condition all branches count; what nothing depends on does not.
    """
    return collections.Counter(kind for _, kind in _nodes(function))


def kernels(counts: collections.Counter) -> int:
    """How many of `operations` start a kernel."""
    return sum(number for kind, number in counts.items() if kind not in _FREE)


def origins(function: Any) -> collections.Counter:
    """How many kernels each part of a step starts."""
    found: collections.Counter = collections.Counter()
    for name, kind in _nodes(function):
        if kind in _FREE:
            continue
        part = _PARTS.get(name.split("/")[0].rstrip("_0123456789"), "others")
        if kind == "Cast" and part in ("network and loss", "their gradients"):
            part = _CASTS
        elif kind in ("IsFinite", "All") and part == "update of the variables":
            part = _FINITE
        elif kind.startswith("Assign") and part == "network and loss":
            part = _AVERAGES
        found[part] += 1
    return found


def _nodes(function: Any) -> Iterator[tuple[str, str]]:
    """(name, type) of every operation that is run; inside a function that is called, the name of the call."""
    graph = function.graph.as_graph_def()
    library = {one.signature.name: one for one in graph.library.function}
    results = [tensor.op.name for tensor in function.graph.outputs]

    def walk(nodes: Any, wanted: list[str], called: str) -> Iterator[tuple[str, str]]:
        for node in _live(nodes, wanted):
            name = called or node.name
            yield name, node.op
            for value in node.attr.values():
                for inner in [value.func.name, *(f.name for f in value.list.func)]:
                    if inner in library:
                        body = library[inner]
                        ends = [*body.ret.values(), *body.control_ret.values()]
                        yield from walk(body.node_def, [_producer(end) for end in ends], name)

    return walk(graph.node, results, "")


def _producer(reference: str) -> str:
    return reference.lstrip("^").split(":")[0]


def _live(nodes: Any, wanted: list[str]) -> list[Any]:
    """The nodes that results or side effects depend on; TensorFlow drops the others before it runs a function."""
    from tensorflow.python.framework import op_def_registry

    by_name = {node.name: node for node in nodes}
    left = [*wanted, *(node.name for node in nodes if getattr(op_def_registry.get(node.op), "is_stateful", True))]
    found = set()
    while left:
        name = left.pop()
        if name in by_name and name not in found:
            found.add(name)
            left += [_producer(reference) for reference in by_name[name].input]
    return [node for node in nodes if node.name in found]


def compiled_programs(function: Any) -> int:
    """How many programs XLA compiles and starts one by one in a concrete function."""
    graph = function.graph.as_graph_def()
    compiled = {one.signature.name for one in graph.library.function if one.attr["_XlaMustCompile"].b}
    nodes = [*graph.node, *(node for one in graph.library.function for node in one.node_def)]
    return sum(node.attr["f"].func.name in compiled for node in nodes)


def training_step(
    sizes: hourglass.Sizes,
    batch_size: int,
    dtype: str = "float32",
    form: str = "cpu",
    former_optimizer: bool = False,
    grouped: bool = False,
) -> Any:
    """The concrete function of one step of `trainer.Trainer`.

    grouped: see there. former_optimizer: update each variable by Keras' elementary operations, compiled one by one as
      Keras does on GPUs.
    """
    optimizer = trainer.make_optimizer("rmsprop", 2.5e-4, dtype)
    if former_optimizer:
        optimizer = _keras_optimizer(dtype)
    network = hourglass.build(sizes, dtype=dtype, form=form)
    model = trainer.Trainer(network, losses.Weights(), batch_size, grouped=grouped)
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
            "form gpu, grouped": lambda dtype=dtype: training_step(sizes, 4, dtype, "gpu", grouped=True),
            "form xla": lambda dtype=dtype: training_step(sizes, 4, dtype, "xla"),
        }
        for name, make in steps.items():
            step = make()
            counts = operations(step)
            title = f"{dtype}, {name}"
            rows.append(Row(f"{title}: operations that start a kernel", kernels(counts), "operations"))
            for part, number in origins(step).most_common() if name.startswith("form") else ():
                rows.append(Row(f"{title}, of these: {part}", number, "operations"))
            rows.append(Row(f"{title}: programs of XLA, one by one", compiled_programs(step), "programs"))
            for group, kinds in GROUPS.items():
                rows.append(Row(f"{title}: {group}", sum(counts[kind] for kind in kinds), "operations"))
    return rows

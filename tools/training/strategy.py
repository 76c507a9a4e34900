"""Where training runs: devices, tf.distribute strategies, and the same global batch whatever their number.

A cluster of several processes is described by TF_CONFIG, which a job of SLURM gets made of its own variables
(`clusters`). Parameter servers are `parameter_servers`'.
"""

from __future__ import annotations

import os
from typing import Any, Callable

import tensorflow as tf

from tools.cli.errors import InputError
from tools.training import clusters, parameter_servers

# A worker that is silent for so long is lost.
_HEARTBEAT_SECONDS = float(os.environ.get("POSE3D_HEARTBEAT_SECONDS", "60"))
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "parameter_server", "tpu")


def prepare_devices(
    use_cpu: bool = False, virtual_cpus: int = 0, deterministic: bool = True, seed: int = 0, threads: int = 0
) -> None:
    """Configures TensorFlow's devices; call once, before anything else uses TensorFlow.

    Args:
      use_cpu: do not use GPUs.
      virtual_cpus: split the CPU into this number of virtual devices (0: do not), for trying out a mirrored strategy on
        a machine without GPUs.
      deterministic: make every op give the same result each time, at some cost in speed on GPUs, and without a
        GPU leave graphs as they were written: TensorFlow's graph optimizer was seen to write the hourglass' training
        step in one of two forms, which round differently (docs/reliability.md).
      seed: of Python's, NumPy's and TensorFlow's generators.
      threads: how many threads one operation uses, and how many operations run at once; 0: as many as there are cores.
    """
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    if use_cpu:
        tf.config.set_visible_devices([], "GPU")
    for gpu in tf.config.get_visible_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    if virtual_cpus > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * virtual_cpus)
    tf.keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
        if not tf.config.get_visible_devices("GPU"):
            tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def make_strategy(name: str, tpu: str = "") -> tf.distribute.Strategy:
    """The strategy of that name.

    'auto' is parameter_server where TF_CONFIG names parameter servers, multi_worker where it, or SLURM, names other
    workers, mirrored on several GPUs (or, without any, several virtual CPUs), else one_device. Mirrored takes all GPUs,
    or without any all (virtual) CPU devices. A worker or server of a cluster with parameter servers does not return
    from here: it serves until its chief has ended.

    Args:
      tpu: name or grpc:// address of the TPU; '' for the one of this machine.

    Raises:
      InputError: unknown name, no cluster where one is needed, or no TPU.
    """
    if name not in STRATEGIES:
        raise InputError(f"--strategy={name}: there are {', '.join(STRATEGIES)}")
    if name == "tpu":
        return _tpu_strategy(tpu)
    if name in ("auto", "multi_worker"):
        clusters.take_over_slurm()
    workers = clusters.workers()
    if name == "parameter_server" or (name == "auto" and clusters.servers()):
        return parameter_servers.make_strategy()
    if name == "multi_worker" or (name == "auto" and len(workers) > 1):
        if not workers:
            raise InputError(
                "--strategy=multi_worker: TF_CONFIG does not name the cluster's workers and this task, and "
                "this is no job of SLURM"
            )
        # Must come before anything that starts TensorFlow's devices, which listing them does.
        _wait_for_heartbeats()
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus, cpus = tf.config.list_logical_devices("GPU"), tf.config.list_logical_devices("CPU")
    if name == "auto":
        name = "mirrored" if len(gpus or cpus) > 1 else "one_device"
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy((gpus or cpus)[0].name)
    devices = [device.name for device in gpus or cpus]
    # NCCL is for GPUs; reducing to one device works everywhere.
    reduction = None if gpus else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)


def _wait_for_heartbeats() -> None:
    """Lets workers be silent for longer than TensorFlow's 10 s: busy hosts are, and their cluster would end."""
    # The strategy has no argument for it; it configures the same service unless that is done.
    from tensorflow.python.distribute import multi_worker_util
    from tensorflow.python.eager import context
    from tensorflow.tsl.protobuf import coordination_config_pb2

    spec = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec()
    jobs = [
        coordination_config_pb2.CoordinatedJob(name=job, num_tasks=spec.num_tasks(job))
        for job in ("chief", "worker")
        if job in spec.jobs
    ]
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=multi_worker_util.coordination_leader(spec),
        heartbeat_timeout_in_ms=int(1000 * _HEARTBEAT_SECONDS),
        coordinated_jobs=jobs,
    )


def _tpu_strategy(address: str) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address or "local")
        if address:
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"--strategy=tpu: no TPU {address or 'on this machine'} can be used ({reason})") from error


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes checkpoints and summaries."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type or resolver.task_type == "chief":
        return True
    # Where the cluster has a task for it, the first worker is not the chief.
    return not clusters.addresses("chief") and (resolver.task_type, resolver.task_id) == ("worker", 0)


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when every worker of the cluster has called it."""
    if parameter_servers.is_one(strategy):
        return  # the chief alone runs the program
    ones = strategy.run(tf.function(lambda: tf.ones([])))
    float(strategy.reduce(tf.distribute.ReduceOp.SUM, ones, axis=None))


def distribute(
    strategy: tf.distribute.Strategy,
    make_batches: Callable[[], tf.data.Dataset],
    batch_size: int,
    make_rows: Callable[[int, int], tf.data.Dataset] | None = None,
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Global batches dealt out to the replicas.

    Every worker makes the same stream of global batches and keeps its replicas' share of each, row by row: replica r
    of n sees rows [r B/n, (r+1) B/n). So one device, two devices and two processes train on the same global batches,
    which TensorFlow's own auto-sharding does not promise. Reading the stream on each worker is the price; pose records
    are small, and expensive steps can be limited to a worker's rows by `make_rows`.

    Args:
      make_batches: makes a dataset of nests of tensors [B, ...], B = batch_size.
      batch_size: the global batch size.
      make_rows: (first, end) -> the same dataset with rows first to end of each batch alone; several workers call it
        instead. None: `make_batches` is cut.

    Raises:
      InputError: batch_size is not a multiple of the number of replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if parameter_servers.is_one(strategy):
        return parameter_servers.deal_out(strategy, make_batches)
    if replicas == 1:
        return make_batches()
    if batch_size % replicas:
        raise InputError(f"--batch_size={batch_size} is not a multiple of the {replicas} replicas")
    share = batch_size // replicas

    def for_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        mine = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * mine * share
        cut_rows = None if context.num_input_pipelines == 1 else make_rows

        def cut(*batch: Any) -> Any:
            def own(tensor: tf.Tensor) -> tf.Tensor:
                rows = tensor[first : first + mine * share] if cut_rows is None else tensor
                return tf.reshape(rows, tf.concat([[mine, share], tf.shape(tensor)[1:]], 0))

            parts = tf.nest.map_structure(own, batch)
            return parts if len(parts) > 1 else parts[0]

        batches = make_batches() if cut_rows is None else cut_rows(first, first + mine * share)
        return batches.map(cut).unbatch().prefetch(mine)

    return strategy.distribute_datasets_from_function(for_worker)

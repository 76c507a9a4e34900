"""The cluster of a training in several processes: what TF_CONFIG says, and TF_CONFIG made of SLURM's variables."""

from __future__ import annotations

import glob
import json
import os
from typing import Any

from tools.cli.errors import InputError

_PORT = 8888  # of the first process on a node; the next has the next
_MANY = 1024


def config() -> dict[str, Any]:
    """TF_CONFIG; empty without one. Raises `InputError` when it is not what TensorFlow documents."""
    try:
        content = json.loads(os.environ.get("TF_CONFIG") or "{}")
        cluster, task = content.get("cluster", {}), content.get("task", {})
        for addresses in cluster.values():
            if not all(isinstance(address, str) for address in addresses):
                raise ValueError("no address")
        task.get("type")
    except (ValueError, AttributeError, TypeError):
        raise InputError("TF_CONFIG is not the JSON that TensorFlow documents") from None
    return content


def addresses(job: str) -> list[str]:
    """host:port of the cluster's tasks of that job."""
    return list(config().get("cluster", {}).get(job, []))


def workers() -> list[str]:
    """host:port of the tasks that train together; a chief is one of them."""
    return addresses("chief") + addresses("worker") if not servers() else addresses("worker")


def servers() -> list[str]:
    """host:port of the parameter servers."""
    return addresses("ps")


def task() -> tuple[str, int]:
    """(job, number) of this process."""
    content = config().get("task", {})
    return str(content.get("type", "")), int(content.get("index", 0))


def take_over_slurm() -> None:
    """Sets TF_CONFIG in a job step of SLURM with several tasks, unless there is one: each task is a worker.

    The tasks of a node share its GPUs; CUDA_VISIBLE_DEVICES is set so. The first port is POSE3D_PORT, else 8888.

    Raises:
      InputError: SLURM's variables don't fit each other.
    """
    if os.environ.get("TF_CONFIG") or int(os.environ.get("SLURM_STEP_NUM_TASKS", "1") or 1) < 2:
        return
    import tensorflow as tf

    gpus = len(glob.glob("/dev/nvidia[0-9]*"))
    # Without any the resolver still wants numbers that divide.
    shared = {"gpus_per_node": gpus} if gpus else {"gpus_per_node": _MANY, "gpus_per_task": 1}
    try:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=int(os.environ.get("POSE3D_PORT", _PORT)), auto_set_gpu=gpus > 0, **shared
        )
        cluster = resolver.cluster_spec().as_dict()
        kind, number = resolver.get_task_info()
    except (RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"SLURM's variables name no cluster: {error}") from error
    os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": kind, "index": number}})

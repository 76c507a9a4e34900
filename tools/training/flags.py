"""Flags that both training commands have, at the places where each shows them."""

from __future__ import annotations

from tools.cli import command


def declare_strategy(flags: command.Flags, seed_of: str, jit_compile: str) -> None:
    """The group 'Strategy'.

    Args:
      seed_of: what the seed decides. jit_compile: help of that flag.
    """
    with flags.group("Strategy"):
        flags.enum(
            "strategy",
            "auto",
            ["auto", "one_device", "mirrored", "multi_worker", "parameter_server", "tpu"],
            "devices to use. auto: all available; one_device; mirrored: all of this machine; multi_worker: the cluster "
            "in TF_CONFIG, or of this job of SLURM; parameter_server: the cluster in TF_CONFIG, asynchronously; tpu: "
            "see --tpu (docs/scale.md)",
        )
        flags.string("tpu", "", "name or grpc:// address of the TPU of --strategy=tpu; '': the one of this machine")
        flags.integer(
            "virtual_cpus",
            0,
            "split the CPU into this many virtual devices, for testing a strategy",
            lower_bound=0,
            upper_bound=64,
        )
        flags.integer("seed", 0, f"random seed of {seed_of}", lower_bound=0)
        flags.boolean(
            "deterministic", True, "deterministic operations: the same flags give the same weights; slower on GPUs"
        )
        flags.boolean("jit_compile", None, jit_compile)
        flags.enum(
            "op_forms",
            "auto",
            ["auto", "cpu", "gpu", "xla"],
            "which of several equal forms of operations to use; auto: those for the device",
        )
        flags.integer("steps_per_execution", 10, "steps run by one Keras call, between progress reports", lower_bound=1)
        flags.integer(
            "threads", 0, "number of TensorFlow threads; 0: one for each core", lower_bound=0, upper_bound=4096
        )


def declare_files(flags: command.Flags, pictured: str) -> None:
    """What is logged and kept; call it inside a group.

    Args:
      pictured: what TensorBoard's pictures show.
    """
    flags.string("profile", "", "first and last step to profile for TensorBoard, such as 10,20 (one step a call)")
    flags.integer(
        "pictures_every", 1, f"write {pictured} to TensorBoard every this many epochs; 0: never", lower_bound=0
    )
    flags.integer("keep", 10, "number of checkpoints to keep", lower_bound=1)
    flags.boolean(
        "overwrite",
        False,
        "discard an existing training of the same experiment directory; with --load, its later checkpoints",
    )

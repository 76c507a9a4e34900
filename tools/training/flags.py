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
            ["auto", "one_device", "mirrored", "multi_worker"],
            "devices: all there are, one, all of this machine, or those of the cluster in TF_CONFIG",
        )
        flags.integer(
            "virtual_cpus", 0, "split the CPU into this number of devices, to try out a strategy", lower_bound=0
        )
        flags.integer("seed", 0, f"of {seed_of}", lower_bound=0)
        flags.boolean("deterministic", True, "the same weights from the same flags, at some cost on GPUs")
        flags.boolean("jit_compile", False, jit_compile)
        flags.integer("steps_per_execution", 10, "steps between Keras' reports of progress", lower_bound=1)
        flags.integer("threads", 0, "threads of TensorFlow; 0: one for each core", lower_bound=0)


def declare_files(flags: command.Flags, pictured: str) -> None:
    """What is logged and kept; call it inside a group.

    Args:
      pictured: what TensorBoard's pictures show.
    """
    flags.string("profile", "", "first,last step to profile for TensorBoard")
    flags.integer("pictures_every", 1, f"epochs between {pictured} in TensorBoard; 0: none", lower_bound=0)
    flags.integer("keep", 10, "how many checkpoints are kept", lower_bound=1)
    flags.boolean("overwrite", False, "discard the training that lies there; with --load, its later checkpoints")

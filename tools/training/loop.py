"""The former entry to `session.TrainingSession.train`, for label_generator/train.py until it uses the session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.training import experiments
from tools.training.session import TrainingDevices, TrainingSession
from tools.training.session import TrainingJob as Job


def train(
    job: Job,
    strategy: Any,
    directory: str,
    plan: experiments.Plan,
    epochs: int,
    settings: Mapping,
    profile: str = "",
    pictures_every: int = 1,
    keep: int = 10,
) -> dict[str, float]:
    """See `TrainingSession.train`."""
    devices = TrainingDevices(strategy, "float32")
    return TrainingSession(devices, directory, plan, settings, epochs, profile, pictures_every, keep).train(job)

"""Faults injected into whole commands: kills, signals, full disks, inputs that vanish; then resumed and compared.

`python -m tests.faults --seed=N --points=N`; docs/reliability.md says what is injected and what came of it.
"""

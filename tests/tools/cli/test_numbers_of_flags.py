"""Numbers that are none, or that nothing can be made of, for every numeric flag of every command."""

import importlib

import pytest

from label_generator import train
from label_generator.training import training_flags
from tools.cli.errors import InputError

# What is no number of any flag; and what is taken or refused, as the flag has it.
NO_NUMBERS = ("", "nan", "inf", "-inf", "1e400", "1e308", "-1e308", "9" * 20, "true", "1,5", "0b1", "5 mm", "½", "\0")
ODD = (" 5", "5\n", "+5", "1_0", "0x10", "1e3", "-1", "5e-324", "٣")


def commands(repository):
    for folder in ("tools", "label_generator", "baseline_network"):
        for path in sorted((repository / folder).glob("*.py")):
            if "command.run(" in path.read_text(encoding="utf-8"):
                yield f"{folder}.{path.stem}"


def test_every_numeric_flag_of_every_command_names_itself_or_is_a_usable_number(repository, monkeypatch):
    monkeypatch.setenv("POSE3D_INPUT_LIMITS", "1")  # which --input_limits changes
    count = 0
    for module in commands(repository):
        declare = importlib.import_module(module).declare
        for name in [flag.name for flag in declare().described() if flag.kind in ("int", "float")]:
            flags = declare()
            for word in NO_NUMBERS:
                count += 1
                with pytest.raises(InputError) as refused:
                    flags.parse(["tool", f"--{name}={word}"])
                assert f"--{name}" in str(refused.value), (module, word)
            for word in ODD:
                problem, value = f"--{name}", 0
                try:
                    value = getattr(flags.parse(["tool", f"--{name}={word}"]), name)
                except InputError as error:
                    problem = str(error)
                assert f"--{name}" in problem, (module, word)
                assert abs(value) <= 1e15, (module, name, word)  # and so not NaN
    assert count > 2500


def test_settings_of_views_and_losses_have_bounds():
    """Shares above 1, negative spreads and cameras at no distance trained networks without a word."""
    for flag in train.declare().described():
        if flag.name.startswith(("view_", "loss_")) and flag.kind == "float":
            for word in ("-1", "1e7"):
                with pytest.raises(InputError, match=f"--{flag.name}="):
                    train.declare().parse(["train", f"--{flag.name}={word}"])
    for word in ("0,5", "nan,5", "5,4", "1e308,1e308", "1"):
        flags = train.declare().parse(["train", f"--view_distance_mm={word}"])
        with pytest.raises(InputError, match="--view_distance_mm="):
            training_flags.view_settings(flags)

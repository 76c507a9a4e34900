"""File systems of a few pages, in memory, that can be full or read-only."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess


def can_mount(root: pathlib.Path) -> bool:
    place = root / "mount-test"
    place.mkdir(exist_ok=True)
    try:
        mount(place, 1 << 20)
    except (OSError, subprocess.CalledProcessError):
        return False
    unmount(place)
    return True


def mount(place: pathlib.Path, size: int) -> None:
    """A file system of that size at `place`, with what lay there."""
    aside = place.with_name(place.name + ".aside")
    os.rename(place, aside)
    place.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True, capture_output=True
        )
        shutil.copytree(aside, place, dirs_exist_ok=True, symlinks=True)
    finally:
        if not os.path.ismount(place):
            place.rmdir()
            os.rename(aside, place)
        else:
            shutil.rmtree(aside)


def remount(place: pathlib.Path, option: str) -> None:
    """Changes an option, such as 'ro' or 'size=1m'."""
    subprocess.run(["mount", "-o", f"remount,{option}", str(place)], check=True, capture_output=True)


def unmount(place: pathlib.Path) -> None:
    """Takes a file system away, if there is one at `place`."""
    if os.path.ismount(place):
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)

"""MATLAB files through SciPy, with one clear error for everything that can be wrong with them."""

from __future__ import annotations

import os

import numpy as np

from tools.errors import InputError


def load_mat(path: str | os.PathLike, variable: str, squeeze: bool = False) -> np.ndarray:
    """A variable of a ``.mat`` file of version 4 to 7.

    Args:
      path: the file.
      variable: its name.
      squeeze: drop sides of length 1, and give structs as objects with attributes.

    Raises:
      InputError: no such file or variable, a damaged file, or version 7.3 (which is HDF5).
    """
    import scipy.io

    try:
        with open(path, "rb") as file:
            content = scipy.io.loadmat(
                file, variable_names=[variable], squeeze_me=squeeze, struct_as_record=not squeeze
            )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except NotImplementedError:
        raise InputError(f"{path}: a MATLAB 7.3 file; save it with -v7") from None
    except Exception as error:  # SciPy's reader fails in as many ways as there are to damage a file
        what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise InputError(f"{path}: not a MATLAB file, or a damaged one ({what})") from None
    if variable not in content:
        raise InputError(f"{path}: no variable '{variable}' in it")
    return content[variable]

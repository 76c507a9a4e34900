"""What TensorFlow raises when the disk refuses, as one line that names the file."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Callable

from tools.cli.errors import InputError

_REASONS = tuple(
    os.strerror(number)
    for number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
)
_ERRORS = "tensorflow.python.framework.errors"


def reason_of(error: BaseException) -> str:
    """What the operating system said, such as 'No space left on device'; '' when `error` is of another kind.

    TensorFlow knows a full disk as ResourceExhaustedError (as it does a full GPU) and a file-size limit as
    OutOfRangeError; only the text tells them apart.
    """
    if not type(error).__module__.startswith(_ERRORS):
        return ""
    text = str(error)
    return next((reason for reason in _REASONS if reason in text), "")


@contextlib.contextmanager
def writing(place: str | os.PathLike, advice: Callable[[], str] = str) -> Iterator[None]:
    """`with writing(path):` around TensorFlow's writing; a refusal of the operating system becomes an `InputError`.

    Args:
      place: what is written, for the message. advice: what is safe and how to go on, asked for after an error.
    """
    try:
        yield
    except Exception as error:
        reason = reason_of(error)
        if not reason:
            raise
        more = advice()
        raise InputError(f"{place}: cannot be written: {reason}{f'; {more}' if more else ''}") from error

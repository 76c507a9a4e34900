"""Files on object stores and other file systems with an address such as ``gs://bucket/records``, through TensorFlow.

`place` gives a path that code can use without asking where it lies: a `pathlib.Path` for local names, a `RemotePath`
for addresses, which has the same methods as far as this project calls them and reads and writes by ``tf.io.gfile``.
Which schemes there are depends on TensorFlow: ``gs://`` and ``hdfs://`` come with it, ``s3://`` and others with
tensorflow-io, ``file://`` and ``ram://`` always. TensorFlow is imported only when an address is met.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import io
import os
import pathlib
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple, cast

from tools.cli import scratch
from tools.cli.errors import InputError, called

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://")
_FILE = "file://"
_COPIED_AT_ONCE = 1 << 22


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path is an address with a scheme."""
    return isinstance(path, RemotePath) or bool(_ADDRESS.match(os.fspath(path) if isinstance(path, str) else ""))


def place(path: str | os.PathLike) -> pathlib.Path:
    """A path or an address as an object with the methods of `pathlib.Path`."""
    return cast(pathlib.Path, RemotePath(path)) if is_remote(path) else pathlib.Path(path)


class Stat(NamedTuple):
    """The part of `os.stat_result` that is known of a remote file."""

    st_size: int
    st_mtime_ns: int


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile


def _call(name: str, path: str, *arguments: Any, **keywords: Any) -> Any:
    """`tf.io.gfile.<name>`, whose errors become those of the operating system."""
    import tensorflow as tf

    try:
        return getattr(tf.io.gfile, name)(path, *arguments, **keywords)
    except tf.errors.OpError as error:
        raise _os_error(error, path) from error


def _os_error(error: Any, path: str) -> OSError:
    import tensorflow as tf

    text = " ".join(str(error.message or error).split())[:200]
    if isinstance(error, tf.errors.NotFoundError):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    if isinstance(error, tf.errors.UnimplementedError):
        scheme = path.partition("://")[0]
        text = f"TensorFlow knows no file system {scheme}:// here (tensorflow-io adds s3:// and others)"
    return OSError(errno.EIO, text, path)


class _Reading(io.RawIOBase):
    """A remote file as Python's raw stream."""

    def __init__(self, path: str):
        super().__init__()
        self._path, self._file = path, _gfile().GFile(path, "rb")
        self._size = _call("stat", path).length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        self._file.seek(start + offset)
        return start + offset

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        import tensorflow as tf

        try:
            data = self._file.read(len(buffer))
        except tf.errors.OutOfRangeError:
            return 0
        except tf.errors.OpError as error:
            raise _os_error(error, self._path) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class _Writing(io.RawIOBase):
    """A remote file being written; on object stores it is there once it is closed."""

    def __init__(self, path: str):
        super().__init__()
        self._path, self._file = path, _gfile().GFile(path, "wb")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        import tensorflow as tf

        try:
            self._file.write(bytes(data))
        except tf.errors.OpError as error:
            raise _os_error(error, self._path) from error
        return len(data)

    def close(self) -> None:
        import tensorflow as tf

        if not self.closed:
            try:
                self._file.close()
            except tf.errors.OpError as error:
                raise _os_error(error, self._path) from error
        super().close()


class RemotePath(os.PathLike):
    """An address, with the methods of `pathlib.Path` that the data layer calls. Raises OSError as those do."""

    def __init__(self, address: str | os.PathLike):
        scheme, _, rest = os.fspath(address).partition("://")
        self._address = f"{scheme}://{'/' if rest.startswith('/') else ''}{rest.strip('/')}"

    def __fspath__(self) -> str:
        return self._address

    def __str__(self) -> str:
        return self._address

    def __repr__(self) -> str:
        return f"RemotePath({self._address!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and other._address == self._address

    def __lt__(self, other: RemotePath) -> bool:
        return self._address < other._address

    def __hash__(self) -> int:
        return hash(self._address)

    def __truediv__(self, name: str | os.PathLike) -> RemotePath:
        return RemotePath(f"{self._address}/{os.fspath(name)}")

    @property
    def name(self) -> str:
        return self._address.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        return pathlib.PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        return pathlib.PurePosixPath(self.name).stem

    @property
    def parent(self) -> RemotePath:
        above = self._address.rpartition("/")[0]
        return self if above.endswith((":/", "://")) else RemotePath(above)

    def resolve(self) -> RemotePath:
        return self

    def exists(self) -> bool:
        return bool(_call("exists", self._address)) or self.is_dir()

    def is_dir(self) -> bool:
        return bool(_call("isdir", self._address))

    def is_file(self) -> bool:
        return bool(_call("exists", self._address)) and not self.is_dir()

    def stat(self) -> Stat:
        found = _call("stat", self._address)
        return Stat(int(found.length), int(found.mtime_nsec))

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        _call("makedirs", self._address)

    def rmdir(self) -> None:
        if not self.is_dir() or _call("listdir", self._address):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), self._address)
        _call("rmtree", self._address)

    def iterdir(self) -> Iterator[RemotePath]:
        for name in sorted(_call("listdir", self._address)):
            yield self / name.rstrip("/")

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        if self.is_dir():
            yield from (path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, pattern))

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            _call("remove", self._address)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def open(self, mode: str = "rb", buffering: int = -1) -> Any:
        if mode == "rb":
            raw = _Reading(self._address)
            return raw if buffering == 0 else io.BufferedReader(raw, buffering if buffering > 0 else 1 << 20)
        if mode == "wb":
            writing = _Writing(self._address)
            return writing if buffering == 0 else io.BufferedWriter(writing)
        raise ValueError(f"mode {mode!r}")

    def read_bytes(self) -> bytes:
        with self.open("rb") as file:
            return cast(bytes, file.read())

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.read_bytes().decode(encoding, errors)

    def write_bytes(self, data: bytes) -> int:
        with self.open("wb", buffering=0) as file:
            file.write(data)
        return len(data)


def open_binary(path: str | os.PathLike, mode: str, buffering: int = -1) -> IO[bytes]:
    """`open(path, mode)` for 'rb' and 'wb', local or remote."""
    if is_remote(path):
        return cast("IO[bytes]", RemotePath(path).open(mode, buffering))
    return cast("IO[bytes]", open(path, mode, buffering=buffering))


def replace(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """`os.replace`; on object stores a copy and a removal, so a reader can see neither name half-written."""
    if is_remote(source) or is_remote(target):
        _call("rename", os.fspath(source), os.fspath(target), overwrite=True)
    else:
        os.replace(source, target)


def remove_folder(path: str | os.PathLike) -> None:
    """Removes a folder with everything in it; nothing happens when there is none."""
    if not is_remote(path):
        shutil.rmtree(path, ignore_errors=True)
    elif RemotePath(path).is_dir():
        _call("rmtree", os.fspath(path))


def copy(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Copies a file, or a folder with everything in it, between two places of one kind; raises OSError."""
    if not is_remote(source):
        if os.path.isdir(source):
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)
    elif RemotePath(source).is_dir():
        _call("makedirs", os.fspath(target))
        for path in RemotePath(source).iterdir():
            copy(path, RemotePath(target) / path.name)
    else:
        _call("copy", os.fspath(source), os.fspath(target), overwrite=True)


def write_whole(path: str | os.PathLike, data: bytes) -> None:
    """Writes a remote file under another name and renames it; raises OSError."""
    target = RemotePath(path)
    temporary = target.parent / f".{target.name}.{os.getpid()}.unfinished"
    try:
        temporary.write_bytes(data)
        replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def upload(local: pathlib.Path, address: str | os.PathLike) -> None:
    """Copies a local file or folder to an address, a file whole or not at all; raises OSError."""
    target = RemotePath(address)
    if local.is_dir():
        for path in sorted(local.iterdir()):
            upload(path, target / path.name)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{os.getpid()}.unfinished"
    try:
        with open(local, "rb") as source, temporary.open("wb", buffering=0) as out:
            shutil.copyfileobj(source, out, _COPIED_AT_ONCE)
        replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def local_twin(address: str | os.PathLike, purpose: str) -> pathlib.Path:
    """A folder of this user on this machine that belongs to an address; always the same for it.

    Raises:
      InputError: somebody else has made the folder of that name among the temporary files, or can write into it.
    """
    digest = hashlib.sha256(os.fspath(address).encode()).hexdigest()[:16]
    return scratch.own_folder() / f"{purpose}-{digest}"


def fetched(path: str | os.PathLike) -> pathlib.Path:
    """A local path as it is; of an address a local copy of the file or folder, made once while its content stays.

    Raises:
      InputError: there is nothing at the address, or it can't be read.
    """
    if not is_remote(path):
        return pathlib.Path(path)
    source = RemotePath(path)
    try:
        if not source.exists():
            raise InputError(f"{source}: no such file or folder")
        below = sorted(_files_below(source))
        files = [(name, found) for name, found in below if _is_regular(source / name if name else source)]
        if not files and not source.is_dir():
            raise InputError(f"{source}: is no regular file")
        state = "".join(f"{name} {found.st_size} {found.st_mtime_ns}\n" for name, found in files)
        version = hashlib.sha256(state.encode()).hexdigest()[:16]
        folder = local_twin(source, "fetched") / version
        if not (folder / source.name).exists():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="fetched-") as place:  # on the file system of `folder`
                temporary = pathlib.Path(place)
                for name, _ in files:
                    target = temporary / source.name / name if name else temporary / source.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with (source / name if name else source).open("rb") as data, open(target, "wb") as out:
                        shutil.copyfileobj(data, out, _COPIED_AT_ONCE)
                if not (folder / source.name).exists():  # another process may have been first
                    os.replace(temporary / source.name, folder / source.name)
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror or error}") from error
    called(str(folder / source.name), str(source))
    return folder / source.name


def local_path(address: str | os.PathLike) -> str | None:
    """The path that a ``file://`` address means; None of other addresses."""
    text = os.fspath(address)
    return text[len(_FILE) :] if text.startswith(_FILE) else None


def _is_regular(address: RemotePath) -> bool:
    """Whether reading it ends: of ``file://`` addresses pipes and devices are no files, as of paths."""
    local = local_path(address)
    return local is None or stat.S_ISREG(os.stat(local).st_mode)


def _files_below(source: RemotePath, name: str = "") -> Iterator[tuple[str, Stat]]:
    """(name relative to `source`, stat) of every file; ('', stat) of a file itself."""
    path = source / name if name else source
    if not path.is_dir():
        yield name, path.stat()
        return
    for below in path.iterdir():
        yield from _files_below(source, f"{name}/{below.name}".lstrip("/"))

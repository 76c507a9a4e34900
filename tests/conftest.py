"""Fixtures shared by all tests."""

import contextlib
import gc
import importlib.util
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile

import hypothesis
import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


def pytest_configure(config):
    """What libraries leave among temporary files goes when the tests end; pytest's own folders stay.

    Ctrl-C is heard, as tests expect: what a script runs in the background (`&`) ignores it, and so do its children.
    """
    from tools.cli import scratch

    # The suite tries the same cases every time, so that what it says of a change is due to the change; new cases are
    # the business of `python -m tests.fuzz`, or of POSE3D_RANDOM=1.
    hypothesis.settings.register_profile("same", derandomize=True, database=None)
    if not os.environ.get("POSE3D_RANDOM"):
        hypothesis.settings.load_profile("same")

    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    scratch.begin()


def pytest_collection_modifyitems(config, items):
    """Marks what needs PyTorch, and leaves slow tests out unless POSE3D_SLOW or `-m slow` asks for them."""
    asked = os.environ.get("POSE3D_SLOW") or "slow" in (config.getoption("-m") or "")
    for item in items:
        if "torch" in getattr(item, "fixturenames", ()):
            item.add_marker("torch")
        if item.get_closest_marker("slow") and not asked:
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with -m slow or POSE3D_SLOW=1"))


@pytest.fixture(scope="session")
def repository():
    """The root folder of this project."""
    return REPOSITORY


@pytest.fixture(scope="session")
def pose3d_data():
    """The folder of real data, from POSE3D_DATA or beside the repository; tests that need it skip without it."""
    folder = pathlib.Path(os.environ.get("POSE3D_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found: no folder {folder} (set POSE3D_DATA)")
    return folder


@pytest.fixture(scope="session")
def trainings():
    """The functions of tests/trainings.py, for which TensorFlow is imported."""
    spec = importlib.util.spec_from_file_location("trainings_of_tests", REPOSITORY / "tests" / "trainings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def start_command(repository):
    """start_command(script, *arguments, **environment): a command as a process of its own, on one thread."""

    def start(script, *arguments, **environment):
        settings = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment}
        command = [sys.executable, str(repository / script), *map(str, arguments)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=settings, cwd=repository
        )

    return start


# A process of its own, since servers in this one may wait for a minute or two for streams that are not collected yet.
_TWO_WORKERS = """
import sys
from tools.training import data_service
addresses = sys.argv[1:]
dispatcher = data_service.serve_dispatcher(0, addresses)
workers = [data_service.serve_worker(dispatcher.target, address) for address in reversed(addresses)]
print(dispatcher.target.rpartition(":")[2], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def data_service_of_two(repository):
    """A tf.data service with two workers in a process of their own, of which the second registers first."""
    from tools.training import data_service

    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    command = [sys.executable, "-c", _TWO_WORKERS, *addresses]
    settings = {**os.environ, "PYTHONPATH": str(repository), "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=settings) as servers:
        try:
            port = servers.stdout.readline().strip()
            assert port, "the data service did not start"
            yield data_service.DataService.of_flags(f"grpc://127.0.0.1:{port}", 2)
        finally:
            gc.collect()  # streams say goodbye to servers that are there
            servers.kill()


@pytest.fixture(params=["ram", "file"])
def address(request, tmp_path):
    """An address in TensorFlow's file system in memory, and one of this machine's own files."""
    from tools.files import remote

    place = f"file://{tmp_path}/store" if request.param == "file" else f"ram://{tmp_path.name}/store"
    yield place
    with contextlib.suppress(OSError):  # the file system in memory can't remove all that it made
        remote.remove_folder(remote.place(place))


@pytest.fixture
def assert_error(capsys):
    """assert_error(*words): standard error is one line 'error: ...' with all the words."""

    def check(*words):
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        for word in words:
            assert word in error

    return check

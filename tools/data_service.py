"""Serve the input pipeline of a training from other machines: tf.data's service, one dispatcher and its workers.

    python tools/data_service.py dispatcher --port=5000 --workers=host1:5001,host2:5001
    python tools/data_service.py worker --dispatcher=host0:5000 --address=host1:5001
    python baseline_network/train.py ... --data_service=grpc://host0:5000 --data_service_workers=2

Workers read the records themselves, so they must reach them under the names that train.py is given. Serves until it is
interrupted.
"""

from __future__ import annotations

import socket
import sys
import time

from tools.cli import command
from tools.cli.errors import InputError


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__, positional="dispatcher|worker")
    with flags.group("Dispatcher"):
        flags.integer("port", 5000, "port of the dispatcher; 0: any that is free", lower_bound=0, upper_bound=65535)
        flags.strings("workers", [], "HOST:PORT of every worker that will register")
    with flags.group("Worker"):
        flags.string("dispatcher", "", "HOST:PORT of the dispatcher")
        flags.string("address", "", "HOST:PORT of this worker, one of the dispatcher's --workers")
    return flags


def main(flags: command.Flags) -> int:
    """Serves."""
    if flags.arguments not in (["dispatcher"], ["worker"]):
        raise InputError("name what is served: dispatcher or worker (see --help)")
    kind = flags.arguments[0]
    flags.require(*(["workers"] if kind == "dispatcher" else ["dispatcher", "address"]))
    for address in (*flags.workers, *filter(None, (flags.dispatcher, flags.address))):
        host, _, port = address.rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port[:6]) < 65536:
            raise InputError(f"{address}: expected HOST:PORT, PORT from 1 to 65535")
    _check_port(flags.port if kind == "dispatcher" else int(flags.address.rpartition(":")[2]))
    import tensorflow as tf

    from tools.training import data_service

    tf.config.set_visible_devices([], "GPU")
    try:
        if kind == "dispatcher":
            server = data_service.serve_dispatcher(flags.port, list(flags.workers))
            print(f"dispatcher at {server.target}, for {len(flags.workers)} workers", flush=True)
        else:
            server = data_service.serve_worker(flags.dispatcher, flags.address)
            print(f"worker at {flags.address} of {flags.dispatcher}", flush=True)
    except (tf.errors.OpError, RuntimeError) as error:
        raise InputError(f"{kind}: cannot serve: {' '.join(str(error).split())[:200]}") from error
    while True:
        time.sleep(1.0)


def _check_port(port: int) -> None:
    """Raises `InputError` when nothing can listen at a port, on which gRPC prints lines of its own."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("", port))
        except OSError as error:
            raise InputError(f"port {port}: cannot be used: {error.strerror}") from None


if __name__ == "__main__":
    command.run(main, declare, sys.argv)

"""The stand-in for TensorFlow Serving: its JSON, its batching parameters, its answers, and the load on it."""

import base64
import concurrent.futures
import email.message
import http.client
import io
import json
import socket
import threading

import numpy as np
import pytest
import tensorflow as tf

from tools import loadtest
from tools.cli import command
from tools.cli.errors import InputError
from tools.serving import bodies, json_forms, load, server
from tools.serving.batching import Batcher, Batching

KINDS = {"x": (np.dtype(np.float32), (None, 2)), "on": (np.dtype(bool), (None,))}


def test_rows_and_columns_are_the_same_arrays():
    rows = {"instances": [{"x": [1, 2], "on": True}, {"x": [3, float("nan")], "on": False}]}
    columns = {"inputs": {"x": [[1, 2], [3, float("nan")]], "on": [True, False]}}
    for content, by_row in ((rows, True), (columns, False)):
        arrays, said = json_forms.parse(json.dumps(content).encode(), KINDS)
        assert said == by_row
        np.testing.assert_array_equal(arrays["x"], np.float32([[1, 2], [3, np.nan]]))
        np.testing.assert_array_equal(arrays["on"], [True, False])
    answer = {"y": np.float32([[1.5], [np.nan]]), "n": np.array([1, 2])}
    assert json_forms.answer(answer, True) == b'{"predictions": [{"y": [1.5], "n": 1}, {"y": [NaN], "n": 2}]}'
    assert json.loads(json_forms.answer(answer, False))["outputs"]["n"] == [1, 2]
    assert json_forms.answer({"n": np.array([1, 2])}, True) == b'{"predictions": [1, 2]}'
    assert json_forms.answer({"n": np.array([1, 2])}, False) == b'{"outputs": [1, 2]}'


def test_one_input_needs_no_name_and_bytes_are_base64():
    kinds = {"image": (np.dtype(object), (None,))}
    encoded = {"b64": base64.b64encode(b"\xff\xd8").decode()}
    for content in ({"instances": [encoded]}, {"instances": [{"image": encoded}]}, {"inputs": [encoded]}):
        arrays, _ = json_forms.parse(json.dumps(content).encode(), kinds)
        assert arrays["image"].tolist() == [b"\xff\xd8"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not JSON"),
        (b"[]", "'instances' or 'inputs'"),
        (b'{"instances": [], "inputs": []}', "'instances' or 'inputs'"),
        (b'{"instances": [{"x": [1, 2]}]}', "instance 0: expected x, on"),
        (b'{"inputs": {"x": [[1, 2]]}}', "inputs x; the model has x, on"),
        (b'{"inputs": {"x": [[1, 2, 3]], "on": [true]}}', r"x: shape \[1, 3\], the model's is \[-1, 2\]"),
        (b'{"inputs": {"x": [["a", 2]], "on": [true]}}', "x: texts, the model's is float32"),
        (b'{"inputs": {"x": [["1", "2"]], "on": [true]}}', "x: texts, the model's is float32"),
        (b'{"inputs": {"x": [[true, false]], "on": [true]}}', "x: true and false, the model's is float32"),
        (b'{"inputs": {"x": [[1, [2]]], "on": [true]}}', "x: setting an array element"),
        (b'{"inputs": {"x": [[1, {}]], "on": [true]}}', "x: values of several kinds"),
        (b'{"inputs": {"x": [[1' + b"0" * 400 + b', 2]], "on": [true]}}', "x: int too large"),
        (b'{"inputs": {"x": ' + b"[" * 900 + b'{"b64": "AA"}' + b"]" * 900 + b', "on": [true]}}', "x: "),
        (b'{"inputs": {"x": [[1, 2]], "on": ["false"]}}', "on: texts, the model's is bool"),
        (b'{"inputs": {"x": [[1, 2]], "on": [0.5]}}', "on: numbers with fractions, the model's is bool"),
        (b'{"inputs": {"x": [[1, 2]], "on": [null]}}', "on: values of several kinds, the model's is bool"),
        (b'{"inputs": {"x": [[1, 2]], "on": [true, false]}}', "different lengths"),
        (b'{"instances": []}', "x: shape|empty ones"),
    ],
)
def test_bad_requests_are_named(body, message):
    with pytest.raises(InputError, match=message):
        json_forms.parse(body, KINDS)


def test_null_is_nan_and_whole_numbers_are_numbers():
    arrays, _ = json_forms.parse(b'{"inputs": {"x": [[null, 2], [3, 4]], "on": [true, false]}}', KINDS)
    np.testing.assert_array_equal(arrays["x"], np.float32([[np.nan, 2], [3, 4]]))
    arrays, _ = json_forms.parse(b'{"inputs": {"x": [[36893488147419103232, 2]], "on": [true]}}', KINDS)
    np.testing.assert_array_equal(arrays["x"], np.float32([[2.0**65, 2]]))


@pytest.mark.parametrize("value", [b"[],", b"{},", b'"",', b"1.5,"])
def test_bodies_whose_values_take_more_memory_than_their_text_are_refused_unread(monkeypatch, value):
    monkeypatch.setattr(json_forms, "_MOST_BYTES", 10_000_000)
    body = b'{"instances": [' + value * 320_000 + b"1]}"
    with pytest.raises(InputError, match="GiB of memory, more than 2 GiB; send fewer at a time"):
        json_forms.parse(body, KINDS)
    with pytest.raises(InputError, match="instance 0"):
        json_forms.parse(b'{"instances": [' + value * 10_000 + b"1]}", KINDS)


def test_batching_parameters_as_tensorflow_serving_has_them(tmp_path):
    path = tmp_path / "batching.txt"
    path.write_text(
        "max_batch_size { value: 64 }  # rows\nbatch_timeout_micros { value: 500 }\nnum_batch_threads { value: 4 }\n"
        "max_enqueued_batches { value: 7 }\nallowed_batch_sizes : 16\nallowed_batch_sizes : 64\n"
    )
    batching = Batching.read(str(path))
    assert batching == Batching(64, 500, 7, (16, 64))
    assert [batching.padded(rows) for rows in (1, 16, 17, 64)] == [16, 16, 64, 64]
    path.write_text("max_batch_size { value: 64 }\nallowed_batch_sizes: 16")
    with pytest.raises(InputError, match="must ascend and end with max_batch_size"):
        Batching.read(str(path))
    with pytest.raises(InputError, match=r"none\.txt: no such file"):
        Batching.read(str(tmp_path / "none.txt"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{{", "line 1: no batching parameter"),
        ("max_batch_size { value: 64 }\n\nmax_bach_size: 3", "line 3: no batching parameter"),
        ("max_batch_size { value: -5 }", "max_batch_size: -5 is no whole number"),
        ("max_batch_size: true", "max_batch_size: true is no whole number"),
        ("max_batch_size { value: 99999999999999999999 }", "is no whole number of 0 to 1,000,000,000"),
        ("max_batch_size { value: 0 }", "must be 1 or more"),
        ("max_batch_size { value: 4 } trailing", "line 1: no batching parameter"),
        (b"\xff\xfe", "not Unicode text"),
    ],
)
def test_other_files_of_batching_parameters_are_refused(tmp_path, text, words):
    path = tmp_path / "batching.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=words):
        Batching.read(str(path))


def test_lists_and_fields_without_use_here_are_read(tmp_path):
    path = tmp_path / "batching.txt"
    path.write_text(
        'max_batch_size: 8, allowed_batch_sizes: [2, 4]; allowed_batch_sizes: 8\nthread_pool_name { value: "a" }'
    )
    assert Batching.read(str(path)) == Batching(8, allowed_batch_sizes=(2, 4, 8))


def test_requests_that_wait_are_run_together_and_get_their_own_rows():
    sizes, gate = [], threading.Event()

    def run(arrays):
        gate.wait()
        sizes.append(len(arrays["x"]))
        return {"y": arrays["x"] * 2}

    batcher = Batcher(run, Batching(8, 200_000, 100, (4, 8)))
    answers = {}

    def ask(number, rows):
        answers[number] = batcher({"x": np.arange(rows) + 100 * number})["y"]

    threads = [threading.Thread(target=ask, args=(n, rows)) for n, rows in enumerate((3, 2, 2, 5, 3))]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    for number, rows in enumerate((3, 2, 2, 5, 3)):
        np.testing.assert_array_equal(answers[number], 2 * (np.arange(rows) + 100 * number))
    assert batcher.rows == 15
    assert 2 <= batcher.batches <= 4
    assert set(sizes) <= {4, 8}
    with pytest.raises(InputError, match="9 instances in a request; at most 8"):
        batcher({"x": np.arange(9)})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model, in versions 1 and 2, that doubles and counts labelled joints."""
    folder = tmp_path_factory.mktemp("models")
    for version in (1, 2):
        module = tf.Module()
        module.run = tf.function(
            lambda poses_2d, intrinsics, joint_mask, version=version: {
                "pose_3d": poses_2d * float(version),
                "labelled": tf.reduce_sum(tf.cast(joint_mask, tf.int32), 1),
                "focal": intrinsics[:, 0],
            },
            input_signature=[
                tf.TensorSpec([None, 17, 2], tf.float32, "poses_2d"),
                tf.TensorSpec([None, 4], tf.float32, "intrinsics"),
                tf.TensorSpec([None, 17], tf.bool, "joint_mask"),
            ],
        )
        tf.saved_model.save(module, str(folder / str(version)), signatures={"serving_default": module.run})
    return server.Model(str(folder), "pose3d", Batching(32, 1000))


@pytest.fixture(scope="module")
def address(model):
    """Where it is served over REST."""
    serving = server.make_server(model, "127.0.0.1", 0)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{serving.server_address[1]}"
    serving.shutdown()


def ask(address, method, path, content=None):
    connection = http.client.HTTPConnection(address)
    connection.request(method, path, None if content is None else json.dumps(content))
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


def test_predictions_of_the_last_version_and_what_there_is(address):
    pose = np.arange(34.0).reshape(17, 2)
    instance = {"poses_2d": pose.tolist(), "intrinsics": [7.0, 7, 0, 0], "joint_mask": [True] * 16 + [False]}
    status, answer = ask(address, "POST", "/v1/models/pose3d:predict", {"instances": [instance]})
    assert status == 200
    (prediction,) = answer["predictions"]
    np.testing.assert_array_equal(prediction["pose_3d"], 2 * pose)
    assert (prediction["labelled"], prediction["focal"]) == (16, 7.0)
    status, answer = ask(address, "GET", "/v1/models/pose3d")
    assert answer["model_version_status"][0]["version"] == "2"
    assert answer["model_version_status"][0]["state"] == "AVAILABLE"
    status, answer = ask(address, "GET", "/v1/models/pose3d/metadata")
    assert answer["inputs"]["poses_2d"] == {"dtype": "float32", "shape": [-1, 17, 2]}
    assert ask(address, "POST", "/v1/models/other:predict", {})[0] == 404
    assert ask(address, "POST", "/v1/models/pose3d/versions/1:predict", {})[0] == 404
    assert ask(address, "POST", "/v1/models/pose3d:predict", {"instances": [{"a": 1}]})[0] == 400


@pytest.mark.parametrize("length", ["-5", "abc", "1_0"])
def test_a_length_that_is_none_is_answered_and_a_client_may_leave(address, capfd, length):
    host, port = address.split(":")
    for words in (f"Content-Length: {length}", "Content-Length: 0"):
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(f"POST /v1/models/pose3d:predict HTTP/1.1\r\nHost: x\r\n{words}\r\n\r\n".encode())
            if length in words:
                assert client.recv(100).startswith(b"HTTP/1.1 400 ")
    assert "Traceback" not in capfd.readouterr().err


def send(address, head, body=b""):
    """The status and the JSON of the answer to a request that is written by hand."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        words = "".join(f"{line}\r\n" for line in ("POST /v1/models/pose3d:predict HTTP/1.1", "Host: x", *head))
        client.sendall(words.encode() + b"\r\n" + body)
        client.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(client, method="POST")
        answer.begin()
        return answer.status, json.loads(answer.read())


CHUNKED = "Transfer-Encoding: chunked"


def test_a_body_in_chunks_is_the_same_body(address):
    content = {"instances": [{"poses_2d": [[1.0, 2.0]] * 17, "intrinsics": [7.0] * 4, "joint_mask": [True] * 17}]}
    text = json.dumps(content).encode()
    expected = ask(address, "POST", "/v1/models/pose3d:predict", content)
    assert expected[0] == 200
    parts = (text[:1], text[1:300], text[300:])
    body = b"".join(b"%X;note=1\r\n%s\r\n" % (len(part), part) for part in parts) + b"000\r\nChecksum: 5\r\n\r\n"
    assert send(address, [CHUNKED], body) == expected
    # As Python's own client sends a generator.
    connection = http.client.HTTPConnection(address)
    connection.request("POST", "/v1/models/pose3d:predict", iter(parts), encode_chunked=True, headers={})
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == expected


@pytest.mark.parametrize(
    ("head", "body", "status", "words"),
    [
        ([CHUNKED], b"zz\r\n", 400, "no hexadecimal number"),
        ([CHUNKED], b"-5\r\n", 400, "no hexadecimal number"),
        ([CHUNKED], b"", 400, "ended too early"),
        ([CHUNKED], b"5\r\nab", 400, "ended too early"),
        ([CHUNKED], b"2\r\nabcd\r\n0\r\n\r\n", 400, "longer than its size"),
        ([CHUNKED], b"7fffffffffff\r\n", 413, "more than 256 MiB"),
        ([CHUNKED], b"0\r\n" + b"a: b\r\n" * 200 + b"\r\n", 400, "too many fields"),
        ([CHUNKED], b"1" * 4096, 400, "line too long"),
        ([CHUNKED, "Content-Length: 3"], b"0\r\n\r\n", 400, "exclude each other"),
        (["Transfer-Encoding: gzip, chunked"], b"0\r\n\r\n", 501, "only chunked"),
        (["Content-Encoding: gzip", "Content-Length: 2"], b"ab", 415, "not read"),
        (["Content-Length: 9"], b"ab", 400, "ended too early"),
        (["Content-Length: 2", "Content-Length: 9"], b"{}", 400, "several lengths"),
        ([], b"", 400, ""),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value),
)
def test_bodies_that_are_none_are_answered(address, head, body, status, words):
    found, answer = send(address, head, body)
    assert found == status
    assert words in answer["error"]


def test_what_stands_behind_a_get_is_no_second_request(address):
    """A proxy that passes on the body of a GET would get an answer for another client."""
    host, port = address.split(":")
    inner = b"GET /v1/models/pose3d/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as client:
        head = f"GET /v1/models/pose3d HTTP/1.1\r\nHost: x\r\nContent-Length: {len(inner)}\r\n\r\n"
        client.sendall(head.encode() + inner)
        answer = b""
        while data := client.recv(4096):
            answer += data
    assert answer.count(b"HTTP/1.1 ") == 1


def test_what_all_bodies_hold_together_is_bounded(address, model, monkeypatch):
    """Bytes are counted when they are there, given back in the end, and a body may not drip for ever."""
    budget, stream = bodies.Budget(100), io.BytesIO(b"x" * 1000)
    headers = email.message.Message()
    headers["Content-Length"] = "60"
    assert len(bodies.read(stream, headers, 1000, budget)) == 60
    with pytest.raises(bodies.BodyError, match="too many bytes of other requests wait") as refused:
        bodies.read(stream, headers, 1000, budget)
    assert refused.value.status == 503
    budget.give_back(60)
    assert len(bodies.read(stream, headers, 1000, budget)) == 60
    monkeypatch.setattr(bodies, "_LONGEST_S", -1.0)
    with pytest.raises(bodies.BodyError, match="seconds"):
        bodies.read(stream, headers, 1000)
    monkeypatch.undo()
    serving = server.make_server(model, "127.0.0.1", 0)
    serving.budget = bodies.Budget(2000)
    with serving, concurrent.futures.ThreadPoolExecutor(1) as thread:
        thread.submit(serving.serve_forever)
        place = f"127.0.0.1:{serving.server_address[1]}"
        for _ in range(4):
            assert ask(place, "POST", "/v1/models/pose3d:predict", {"instances": ["x" * 1500]})[0] == 400
        assert ask(place, "POST", "/v1/models/pose3d:predict", {"instances": ["x" * 2500]})[0] == 503
        serving.shutdown()


def test_load_and_its_latencies(address, capsys):
    place = f"http://{address}/v1/models/pose3d:predict"
    words = ["loadtest", f"--server={place}", "--requests=60", "--clients=6", "--poses=2"]
    with pytest.raises(SystemExit) as ended:
        command.run(loadtest.main, loadtest.declare, words)
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "60 requests by 6 clients" in text
    assert "99 % within" in text
    measured = load.run(place, lambda _: b"{}" if _ else loadtest._body(_flags(place), 0), 5, 2)
    assert measured.failures == {"status 400": 4}
    with pytest.raises(InputError, match="no answer"):
        load.run("http://127.0.0.1:9/v1/models/a:predict", lambda _: b"{}", 1, 1)


def _flags(server):
    return loadtest.declare().parse(["loadtest", "--poses=1", f"--server={server}"])


def test_no_model(tmp_path):
    with pytest.raises(InputError, match="no SavedModel"):
        server.Model(str(tmp_path), "a", Batching())


@pytest.mark.parametrize("said", [b"", b"POST /v1/mod", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nab"])
def test_a_client_that_says_nothing_is_left(address, monkeypatch, capfd, said):
    """The server closes the connection, also within a request, and goes on serving."""
    assert server._Handler.timeout == server.SILENCE_S == 60.0
    monkeypatch.setattr(server._Handler, "timeout", 0.2)
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(said)
        assert client.recv(100) == b""
    assert ask(address, "GET", "/v1/models/pose3d")[0] == 200
    assert capfd.readouterr().err == ""

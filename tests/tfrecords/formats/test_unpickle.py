"""The restricted unpickler: reads what NumPy writes, and runs nothing."""

import collections
import contextlib
import io
import os
import pickle
import pickletools
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfrecords.formats import arrays
from tfrecords.formats.unpickle import load_objects
from tools.cli.errors import InputError

RAN = []


def run(*arguments):
    """What a crafted file would have called."""
    RAN.append(arguments)
    return arguments


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def rows():
    random = np.random.default_rng(0)
    return np.array(
        [[f"im{i}.jpg", random.normal(size=(16, 2)).astype(np.float32), random.normal(size=(16, 3))] for i in range(4)],
        dtype=object,
    )


def same(a, b):
    if isinstance(b, np.ndarray):
        assert isinstance(a, np.ndarray)
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        if b.dtype == object:
            for x, y in zip(a.reshape(-1), b.reshape(-1)):
                same(x, y)
        else:
            np.testing.assert_array_equal(a, b)
    elif isinstance(b, (list, tuple)):
        assert type(a) is type(b)
        assert len(a) == len(b)
        for x, y in zip(a, b):
            same(x, y)
    elif isinstance(b, dict):
        assert list(a) == list(b)
        same(list(a.values()), list(b.values()))
    else:
        assert a == b
        assert type(a) is type(b)


def write_npy(path, array, protocol):
    """An object array as np.save writes it, with a protocol of our choice."""
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        pickle.dump(array, file, protocol=protocol)


def test_reads_what_numpy_saves(tmp_path):
    np.save(tmp_path / "wild.npy", rows(), allow_pickle=True)
    same(load_objects(tmp_path / "wild.npy"), rows())


@pytest.mark.parametrize("protocol", range(6))
def test_reads_every_protocol(tmp_path, protocol):
    content = np.empty(9, object)
    content[:] = [
        "text",
        b"bytes \xff",
        np.float64(1.5),
        {"a": [1, 2.5, None, True], "b": (1, 2)},
        {1, 2},
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(["ab", "c"]),
        collections.OrderedDict(x=np.int32(3)),
    ]
    write_npy(tmp_path / "file.npy", content, protocol)
    # NumPy itself turns bytes into the machine's order in protocols below 5.
    same(load_objects(tmp_path / "file.npy"), pickle.loads(pickle.dumps(content, protocol)))
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps({"rows": rows()}, protocol))
    same(load_objects(tmp_path / "plain.pkl"), {"rows": rows()})


def test_reads_numpy_2(tmp_path):
    """NumPy 2 calls its modules numpy._core; the rest of the pickle is the same."""
    data = pickle.dumps(rows(), protocol=0)  # texts end with newlines there: names can be replaced
    assert b"numpy.core.multiarray" in data
    (tmp_path / "two.pkl").write_bytes(data.replace(b"numpy.core.", b"numpy._core."))
    same(load_objects(tmp_path / "two.pkl"), rows())


def test_reads_python_2(tmp_path):
    """Protocol 2 with byte strings, as Python 2 wrote it: opcodes by hand, since Python 3 can't."""

    def text(value):
        return b"U" + bytes([len(value)]) + value  # SHORT_BINSTRING

    def dtype(letters, order):
        state = b"(K\x03" + text(order) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
        return b"cnumpy\ndtype\n" + text(letters) + b"K\x00K\x01\x87R" + state + b"b"

    def array(shape, kind, content):
        start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        sides = b"(" + b"".join(b"K" + bytes([side]) for side in shape) + b"t"
        return start + b"(K\x01" + sides + kind + b"\x89" + content + b"tb"

    values = np.arange(6, dtype="<f4").reshape(2, 3)
    inner = array((2, 3), dtype(b"f4", b"<"), text(values.tobytes()))
    outer = array((2,), dtype(b"O8", b"|"), b"](" + text(b"im\xe9.jpg") + inner + b"e")
    data = b"\x80\x02" + outer + b"."
    pickletools.dis(data, out=io.StringIO())  # it is a pickle
    (tmp_path / "two.pkl").write_bytes(data)
    loaded = load_objects(tmp_path / "two.pkl")
    assert loaded[0] == "im\xe9.jpg"
    np.testing.assert_array_equal(loaded[1], values)


def test_reads_plain_arrays(tmp_path):
    table = np.array([("a", [1.0, 2])], dtype=[("name", "U4"), ("xy", "f4", 2)])
    for array in (np.arange(5.0), np.zeros((2, 0)), table):
        np.save(tmp_path / "plain.npy", array)
        np.testing.assert_array_equal(load_objects(tmp_path / "plain.npy"), array)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "crafted",
    [
        Calls(run, 1),
        Calls(os.system, "true"),
        Calls(eval, "1"),
        Calls(getattr, "text", "upper"),
        Calls(np.load, "x.npy"),
        Calls(np.core.multiarray.fromstring, "1"),
        [np.array([Calls(run, 2)], dtype=object)],
        {"deep": [("er", Calls(run, 3))]},
        np.dtype([("x", "f4"), ("o", "O")]),
        np.datetime64("2020-01-01"),
        range(3),
        run,
        np.ndarray,
        Calls(collections.defaultdict, list),
    ],
)
def test_a_crafted_file_is_refused_and_not_run(tmp_path, crafted, protocol):
    RAN.clear()
    for content in (crafted, np.array([crafted, None], dtype=object)):
        write = write_npy if isinstance(content, np.ndarray) else write_pickle
        write(tmp_path / "crafted", content, protocol)
        with pytest.raises(InputError, match="refused"):
            load_objects(tmp_path / "crafted")
    assert RAN == []


def test_the_crafted_file_would_run():
    """What the test above relies on: plain unpickling calls it."""
    RAN.clear()
    pickle.loads(pickle.dumps(Calls(run, 1)))
    assert RAN == [(1,)]


def write_pickle(path, content, protocol):
    path.write_bytes(pickle.dumps(content, protocol))


class Made:
    """Pickles as function(*arguments) followed by BUILD with a state."""

    def __init__(self, function, arguments, state):
        self.call = function, arguments, state

    def __reduce__(self):
        return self.call


OBJECT_WITHOUT_REFERENCES = Made(np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0))


@pytest.mark.parametrize(
    "crafted",
    [
        # Bytes of the file as pointers: the type says object, its flags deny it.
        Made(
            np.core.multiarray._reconstruct,
            (np.ndarray, (0,), b"b"),
            (1, (1,), OBJECT_WITHOUT_REFERENCES, False, struct.pack("<Q", 0xDEADBEEF)),
        ),
        Calls(np.core.multiarray.scalar, OBJECT_WITHOUT_REFERENCES, struct.pack("<Q", 0xDEADBEEF)),
        Calls(np.core.numeric._frombuffer, struct.pack("<Q", 0xDEADBEEF), OBJECT_WITHOUT_REFERENCES, (1,), "C"),
        # More elements than bytes, impossible shapes, content of another kind.
        Made(np.core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, (9,), np.dtype("f8"), False, b"\0" * 8)),
        Made(np.core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, (-1,), np.dtype("f8"), False, b"")),
        Made(np.core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, (2**62,), np.dtype("S0"), False, b"")),
        Made(np.core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, (2,), np.dtype("O"), False, [1])),
        Made(np.core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, (1,), "f8", False, b"\0" * 8)),
        Made(np.core.multiarray._reconstruct, (dict, (0,), b"b"), None),
        # A type with a subarray smuggled into its state.
        Made(np.dtype, ("V8", False, True), (3, "|", (np.dtype("O"), (1,)), None, None, 8, 1, 0)),
        Made(np.dtype, ("f8", False, True), (3, "<", (np.dtype("f8"), (1,)), None, None, 8, 1, 0)),
    ],
)
def test_crafted_arrays_are_refused(tmp_path, crafted):
    for protocol in range(2, 6):
        write_pickle(tmp_path / "crafted", [crafted], protocol)
        with pytest.raises(InputError):
            load_objects(tmp_path / "crafted")


def test_an_array_is_filled_once(tmp_path):
    """Filling it again would free the memory that `list(array)` still looks at."""
    state = (1, (2, 2), np.dtype("f8"), False, b"\0" * 32)
    data = pickle.dumps(np.zeros((2, 2)), protocol=2)
    assert data.endswith(b"b.")
    again = pickle.dumps(state, protocol=2)[2:-1]
    places = [(opcode.name, place) for opcode, _, place in pickletools.genops(again + b".")]
    memo_free = b"".join(again[place:end] for (name, place), (_, end) in zip(places, places[1:]) if name != "BINPUT")
    (tmp_path / "twice").write_bytes(data[:-1] + memo_free + b"b.")
    pickletools.dis((tmp_path / "twice").read_bytes(), out=io.StringIO())
    with pytest.raises(InputError, match="filled twice"):
        load_objects(tmp_path / "twice")


def test_makers_can_not_be_altered(tmp_path):
    """BUILD on an admitted name would set attributes that later files see."""
    for name in (b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"cnumpy.core.multiarray\n_reconstruct\n"):
        (tmp_path / "file").write_bytes(b"\x80\x02" + name + b"}X\x05\x00\x00\x00_makeNsb.")
        with pytest.raises(InputError):
            load_objects(tmp_path / "file")
    for name in (b"cbuiltins\nset\n", b"ccollections\nOrderedDict\n", b"cbuiltins\ndict\n"):
        (tmp_path / "file").write_bytes(b"\x80\x02" + name + b"N}X\x06\x00\x00\x00updateNs\x86b.")
        with pytest.raises(InputError):
            load_objects(tmp_path / "file")
    write_pickle(tmp_path / "file", rows(), 2)
    same(load_objects(tmp_path / "file"), rows())


def test_references_out_of_the_file_are_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"\x80\x02X\x01\x00\x00\x00aQ.")
    with pytest.raises(InputError, match="refused"):
        load_objects(tmp_path / "file")


def test_missing_cut_and_foreign_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_objects(tmp_path / "none.npy")
    np.save(tmp_path / "wild.npy", rows(), allow_pickle=True)
    data = (tmp_path / "wild.npy").read_bytes()
    for length in range(0, len(data), 41):
        (tmp_path / "cut.npy").write_bytes(data[:length])
        with pytest.raises(InputError, match=r"cut\.npy"):
            load_objects(tmp_path / "cut.npy")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_bytes_load_or_are_an_input_error(tmp_path, data):
    content = bytearray(pickle.dumps(rows()[:1], data.draw(st.integers(0, 5))))
    if data.draw(st.booleans()):
        content = bytearray(data.draw(st.binary(max_size=100)))
    for _ in range(data.draw(st.integers(0, 4)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "any").write_bytes(content)
    with contextlib.suppress(InputError):
        load_objects(tmp_path / "any")


@pytest.mark.parametrize(("letters", "shape"), [("<U0", (2**31 - 1,)), ("|S0", (2**30,)), ("<f8", (2**30, 0))])
def test_countless_items_of_no_bytes_are_refused(tmp_path, letters, shape):
    """A few bytes announce them, and a list of them would take hundreds of GB."""
    with (tmp_path / "n.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": letters, "fortran_order": False, "shape": shape})
    with pytest.raises(InputError, match=r"n\.npy: .*array of nothing"):
        load_objects(tmp_path / "n.npy")
    with (tmp_path / "n.npy").open("rb") as file, pytest.raises(InputError, match="items of no bytes"):
        arrays.read_header(file, "n.npy")
    state = (1, shape, np.dtype(letters), False, b"")
    made = Made(np.core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), state)
    write_pickle(tmp_path / "n.pkl", [made], 2)
    with pytest.raises(InputError, match="array of nothing"):
        load_objects(tmp_path / "n.pkl")
    np.save(tmp_path / "few.npy", np.zeros((0, 17, 2)))
    assert load_objects(tmp_path / "few.npy").shape == (0, 17, 2)


def nested(depth):
    """A program that leaves t = (t, t) of that depth on the stack: two bytes a level, 2 ** depth values."""
    levels = (b"h%ch%c\x86q%c" % (level, level, level + 1) for level in range(depth))
    return b"\x80\x02)q\x00" + b"".join(levels)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"\x80\x02}" + nested(60)[2:] + b"K\x01s.", "values when its shared parts are written out"),
        (b"\x80\x02]" + nested(60)[2:] + b"a.", "values when its shared parts are written out"),
        (b"\x80\x04\x8f(" + nested(60)[2:] + b"\x90.", "values when its shared parts are written out"),
        (nested(60) + b".", "values when its shared parts are written out"),
        (b"\x80\x02Nr\x00\x00\x00\x12.", "memo beyond the number of objects"),
    ],
)
def test_small_programs_that_take_endless_memory_or_time_are_refused(tmp_path, program, message):
    path = tmp_path / "bomb.npy"
    path.write_bytes(program)
    with pytest.raises(InputError, match=message):
        load_objects(path)


def test_shared_parts_of_an_ordinary_size_are_read(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(nested(10) + b".")
    value = load_objects(path)
    for _ in range(10):
        assert value[0] is value[1]
        value = value[0]
    assert value == ()

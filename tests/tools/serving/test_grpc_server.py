"""The gRPC interface of the stand-in for TensorFlow Serving, asked with the stubs of tensorflow-serving-api."""

import numpy as np
import pytest
import tensorflow as tf

from tools import loadtest
from tools.cli import command
from tools.cli.errors import InputError
from tools.serving import server
from tools.serving.batching import Batching

pytest.importorskip("tensorflow_serving.apis", reason="needs tensorflow-serving-api (extra: serving)")
import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tools.serving import grpc_server, load

POSES = np.zeros((1, 17, 2), np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Twice the poses, and how many joints have labels."""
    folder, module = tmp_path_factory.mktemp("model"), tf.Module()
    module.run = tf.function(
        lambda poses_2d, intrinsics, joint_mask: {
            "pose_3d": poses_2d * 2.0 + intrinsics[:, None, :2],
            "labelled": tf.reduce_sum(tf.cast(joint_mask, tf.int32), 1),
        },
        input_signature=[
            tf.TensorSpec([None, 17, 2], tf.float32, "poses_2d"),
            tf.TensorSpec([None, 4], tf.float32, "intrinsics"),
            tf.TensorSpec([None, 17], tf.bool, "joint_mask"),
        ],
    )
    tf.saved_model.save(module, str(folder / "3"), signatures={"serving_default": module.run})
    return server.Model(str(folder), "pose3d", Batching(32, 1000))


@pytest.fixture(scope="module")
def channel(model):
    serving, port = grpc_server.make_server(model, "127.0.0.1", 0)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        opened.target = f"127.0.0.1:{port}"
        yield opened
    serving.stop(0)


def request_of(name="pose3d", **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    for key, values in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(values))
    return request


def poses(count):
    rng = np.random.default_rng(count)
    return {
        "poses_2d": rng.normal(300, 50, (count, 17, 2)).astype(np.float32),
        "intrinsics": rng.normal(500, 50, (count, 4)).astype(np.float32),
        "joint_mask": rng.uniform(size=(count, 17)) < 0.8,
    }


def test_predict(channel):
    stub, inputs = prediction_service_pb2_grpc.PredictionServiceStub(channel), poses(5)
    response = stub.Predict(request_of(**inputs))
    assert (response.model_spec.name, response.model_spec.version.value) == ("pose3d", 3)
    outputs = {name: tf.make_ndarray(values) for name, values in response.outputs.items()}
    expected = inputs["poses_2d"] * 2 + inputs["intrinsics"][:, None, :2]
    np.testing.assert_allclose(outputs["pose_3d"], expected, rtol=1e-6)
    np.testing.assert_array_equal(outputs["labelled"], inputs["joint_mask"].sum(1))
    request = request_of(**inputs)
    request.output_filter.append("labelled")
    request.model_spec.version.value = 3
    assert list(stub.Predict(request).outputs) == ["labelled"]


def test_requests_of_several_clients_are_run_together(channel, model):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    before, inputs = model.run.batches, [poses(count) for count in range(1, 7)]
    futures = [stub.Predict.future(request_of(**one)) for one in inputs]
    for one, future in zip(inputs, futures):
        answer = tf.make_ndarray(future.result().outputs["pose_3d"])
        np.testing.assert_allclose(answer, one["poses_2d"] * 2 + one["intrinsics"][:, None, :2], rtol=1e-6)
    assert 1 <= model.run.batches - before <= 6


def test_what_is_served(channel):
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "pose3d"
    (version,) = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status).model_version_status
    assert (version.version, version.state) == (3, get_model_status_pb2.ModelVersionStatus.AVAILABLE)
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "pose3d"
    response = prediction_service_pb2_grpc.PredictionServiceStub(channel).GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    inputs = signatures.signature_def["serving_default"].inputs
    assert {name: [d.size for d in info.tensor_shape.dim] for name, info in inputs.items()} == {
        "poses_2d": [-1, 17, 2],
        "intrinsics": [-1, 4],
        "joint_mask": [-1, 17],
    }
    assert inputs["joint_mask"].dtype == tf.bool.as_datatype_enum


@pytest.mark.parametrize(
    ("name", "changes", "code", "words"),
    [
        ("other", {}, "NOT_FOUND", "there is model pose3d, not 'other'"),
        ("pose3d", {"joint_mask": None}, "INVALID_ARGUMENT", "the model has intrinsics, joint_mask, poses_2d"),
        ("pose3d", {"joint_mask": np.ones((2, 16), bool)}, "INVALID_ARGUMENT", r"bool \[2, 16\], .* \[-1, 17\]"),
        ("pose3d", {"intrinsics": np.ones((2, 4))}, "INVALID_ARGUMENT", r"float64 \[2, 4\], .* float32"),
        ("pose3d", {"intrinsics": np.ones((3, 4), np.float32)}, "INVALID_ARGUMENT", "different lengths"),
    ],
)
def test_bad_requests_are_named(channel, name, changes, code, words):
    inputs = {key: value for key, value in {**poses(2), **changes}.items() if value is not None}
    with pytest.raises(grpc.RpcError, match=words) as raised:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request_of(name, **inputs))
    assert raised.value.code().name == code


def test_load_over_grpc(channel, capsys):
    words = ["loadtest", f"--server=grpc://{channel.target}", "--requests=40", "--clients=4", "--poses=2"]
    with pytest.raises(SystemExit) as ended:
        command.run(loadtest.main, loadtest.declare, words)
    assert ended.value.code == 0
    assert "40 requests by 4 clients" in capsys.readouterr().out
    with pytest.raises(InputError, match="status NOT_FOUND: there is model pose3d, not 'a'"):
        load.run(f"grpc://{channel.target}", lambda _: request_of("a").SerializeToString(), 1, 1)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([1 << 26, 17, 2], "takes more than 256 MiB"),
        ([1 << 40, 17, 2], "takes more than 256 MiB"),
        ([1 << 62, 1 << 62, 4], "takes more than 256 MiB"),
        ([-1, 17, 2], "a negative one"),
        ([1] * 300, "more than 32 dimensions"),
        ([], "the model's is"),
    ],
)
def test_a_small_message_that_announces_any_shape_is_refused(channel, sizes, message):
    request = request_of(poses_2d=POSES, intrinsics=np.zeros((1, 4), np.float32), joint_mask=np.ones((1, 17), bool))
    tensor = request.inputs["poses_2d"]
    tensor.Clear()
    tensor.dtype = 1
    tensor.float_val.append(1.0)
    for size in sizes:
        tensor.tensor_shape.dim.add().size = size
    with pytest.raises(grpc.RpcError) as refused:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=20)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert message in refused.value.details()


@pytest.mark.parametrize("kind", [20, 21])
def test_resources_and_variants_are_no_arrays(channel, kind):
    request = request_of(poses_2d=POSES, intrinsics=np.zeros((1, 4), np.float32), joint_mask=np.ones((1, 17), bool))
    request.inputs["poses_2d"].dtype = kind
    with pytest.raises(grpc.RpcError) as refused:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=20)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT

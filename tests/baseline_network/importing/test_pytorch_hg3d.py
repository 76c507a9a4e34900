"""Published files, in the forms that torch.save gives them, and such as are none."""

import collections
import os
import pickle
import sys
import zipfile

import numpy as np
import pytest

from baseline_network.importing import pytorch_hg3d
from baseline_network.network import hourglass
from tools.cli.errors import InputError

SIZES = hourglass.Sizes(stacks=1, modules=1, features=16, resolution=128, joints=16)


@pytest.fixture(scope="module")
def network(twin):
    return twin(SIZES, seed=5)


@pytest.fixture(scope="module")
def weights(network):
    """The state as the importer should find it."""
    return {name: value.numpy() for name, value in network.state_dict().items() if "num_batches" not in name}


def assert_is(found, weights):
    assert set(found) == set(weights)
    for name, value in weights.items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("form", ["state", "wrapped", "parallel"])
def test_files_of_weights(torch, network, weights, tmp_path, form, zipped):
    state = network.state_dict()
    if form == "wrapped":
        state = {"epoch": 60, "state_dict": state}
    elif form == "parallel":
        state = collections.OrderedDict(("module." + name, value) for name, value in state.items())
    torch.save(state, tmp_path / "model.pth", _use_new_zipfile_serialization=zipped)
    assert_is(pytorch_hg3d.read_state(tmp_path / "model.pth"), weights)


@pytest.fixture
def importable(torch, network, monkeypatch):
    """The network with classes where the published code has them, so that pickle names them."""
    models = type(sys)("models")
    monkeypatch.setitem(sys.modules, "models", models)
    kinds = {type(module) for module in network.modules() if not type(module).__module__.startswith("torch")}
    before = {kind: (kind.__module__, kind.__qualname__) for kind in kinds}
    for kind in kinds:
        kind.__module__, kind.__qualname__ = "models", kind.__name__
        setattr(models, kind.__name__, kind)
    yield network
    for kind, (module, name) in before.items():
        kind.__module__, kind.__qualname__ = module, name


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("parallel", [True, False])
def test_files_of_whole_networks(torch, importable, weights, tmp_path, monkeypatch, zipped, parallel):
    """As published; the classes are not there when the file is read."""
    whole = torch.nn.DataParallel(importable) if parallel else importable
    torch.save(whole, tmp_path / "model.pth", _use_new_zipfile_serialization=zipped)
    monkeypatch.delitem(sys.modules, "models")
    with pytest.raises((ImportError, AttributeError)):
        torch.load(tmp_path / "model.pth", weights_only=False)
    assert_is(pytorch_hg3d.read_state(tmp_path / "model.pth"), weights)


def test_imported_model_answers_as_the_network(torch, network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "model.pth")
    model = pytorch_hg3d.import_hg3d(tmp_path / "model.pth")
    assert hourglass.sizes_of(model) == SIZES
    images = np.random.default_rng(0).uniform(0, 1, [2, 128, 128, 3]).astype(np.float32)
    with torch.no_grad():
        heatmaps, depths = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    ours = model(images)
    expected = heatmaps[-1].numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(ours["heatmaps"][:, -1], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(ours["depths"], depths.numpy(), rtol=1e-4, atol=1e-4 * depths.abs().max().item())


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_of_a_file_is_run(torch, tmp_path, zipped):
    torch.save({"state_dict": Harmful(tmp_path / "made")}, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"evil.pth: refused, .*mkdir"):
        pytorch_hg3d.read_state(tmp_path / "evil.pth")
    assert not (tmp_path / "made").exists()
    # The file does harm where it is trusted, so the test could fail.
    torch.load(tmp_path / "evil.pth", weights_only=False)
    assert (tmp_path / "made").exists()


def test_makers_cannot_be_changed(torch, tmp_path):
    """A pickle that sets attributes of what torch rebuilds tensors with."""
    build = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}(X\x04\x00\x00\x00nameK\x01ub."
    with zipfile.ZipFile(tmp_path / "evil.pth", "w") as archive:
        archive.writestr("archive/data.pkl", build)
        archive.writestr("archive/version", "3\n")
    with pytest.raises(InputError, match="refused"):
        pytorch_hg3d.read_state(tmp_path / "evil.pth")
    assert not hasattr(torch._utils._rebuild_tensor_v2, "name")


def test_other_files_are_refused_in_one_line(torch, network, tmp_path):
    files = {"text.pth": b"not a network", "empty.pth": b"", "list.pth": pickle.dumps([1, 2])}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    torch.save(network.state_dict(), tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:5000])
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
    torch.save([torch.zeros(3)], tmp_path / "tensors.pth")
    for name in (*files, "cut.pth", "other.pth", "tensors.pth", "absent.pth"):
        with pytest.raises(InputError) as caught:
            pytorch_hg3d.read_state(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_are_named(weights):
    model = hourglass.build(SIZES)
    lacking = {name: value for name, value in weights.items() if name != "r5.conv4.bias"}
    with pytest.raises(InputError, match=r"r5\.conv4\.bias"):
        pytorch_hg3d.set_weights(model, lacking)
    with pytest.raises(InputError, match=r"another\.weight"):
        pytorch_hg3d.set_weights(model, {**weights, "another.weight": np.zeros(3, np.float32)})
    for name, shape in (("r1.conv2.weight", (3, 64, 3, 3)), ("reg.weight", (16, 7)), ("bn1.bias", (2,))):
        with pytest.raises(InputError, match=name):
            pytorch_hg3d.set_weights(model, {**weights, name: np.zeros(shape, np.float32)})


def test_sizes_are_found_in_the_weights(weights):
    assert pytorch_hg3d.sizes_of_state(weights) == SIZES
    with pytest.raises(InputError, match="hg3d"):
        pytorch_hg3d.sizes_of_state({"conv1_.weight": weights["conv1_.weight"]})

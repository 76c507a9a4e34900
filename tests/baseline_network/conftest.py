"""The published network in PyTorch, written from its description; rendered pictures; training as a process."""

import functools

import pytest
import tensorflow as tf

from baseline_network.prediction import network_flags
from tfrecords.source import Options
from tfrecords.sources import open_source
from tfrecords.storage import example
from tools.cli import command


@pytest.fixture(scope="session")
def rendered_people():
    """40 records with rendered pictures of synthetic people."""
    return list(open_source("rendered", "", Options(count=44, seed=3)).records(range(44)))[:40]


@pytest.fixture(scope="session")
def write_pictured():
    """write_pictured(path, records): one TFRecord file."""

    def write(path, records):
        with tf.io.TFRecordWriter(str(path)) as file:
            for record in records:
                file.write(example.encode(record))
        return str(path)

    return write


@pytest.fixture(scope="session")
def pictured_records(rendered_people, write_pictured, tmp_path_factory):
    """A folder with train.tfrecord (32 records of rendered pictures) and test.tfrecord (8)."""
    folder = tmp_path_factory.mktemp("pictures")
    write_pictured(folder / "train.tfrecord", rendered_people[:32])
    write_pictured(folder / "test.tfrecord", rendered_people[32:])
    return folder


@pytest.fixture(scope="session")
def start_train(start_command):
    """start_train(*flags, **environment): train.py as a process of its own, on one thread."""
    return functools.partial(start_command, "baseline_network/train.py", "--threads=1")


@pytest.fixture
def run_with_small_network(monkeypatch, small_network):
    """run(module, *arguments): that command in this process with a small network; returns its exit status."""
    monkeypatch.setattr(network_flags, "make_predictor", lambda flags, fall_back=False: small_network)

    def run(module, *arguments):
        with pytest.raises(SystemExit) as left:
            command.run(module.main, module.declare, [f"{module.__name__}.py", *map(str, arguments)])
        return left.value.code

    return run


@pytest.fixture(scope="session")
def torch():
    """PyTorch, an optional extra; its tests skip without it."""
    return pytest.importorskip("torch", reason="PyTorch is not installed (pip install torch)")


@pytest.fixture(scope="session")
def twin(torch):
    """make(sizes, seed): the PyTorch network of those sizes in evaluation mode; inputs are [B, 3, r, r]."""
    nn = torch.nn

    class Residual(nn.Module):
        def __init__(self, inside, out):
            super().__init__()
            self.bn, self.conv1 = nn.BatchNorm2d(inside), nn.Conv2d(inside, out // 2, 1)
            self.bn1, self.conv2 = nn.BatchNorm2d(out // 2), nn.Conv2d(out // 2, out // 2, 3, padding=1)
            self.bn2, self.conv3 = nn.BatchNorm2d(out // 2), nn.Conv2d(out // 2, out, 1)
            if inside != out:
                self.conv4 = nn.Conv2d(inside, out, 1)

        def forward(self, x):
            y = self.conv1(torch.relu(self.bn(x)))
            y = self.conv2(torch.relu(self.bn1(y)))
            y = self.conv3(torch.relu(self.bn2(y)))
            return y + (self.conv4(x) if hasattr(self, "conv4") else x)

    class Hourglass(nn.Module):
        def __init__(self, depth, modules, width):
            super().__init__()

            def several():
                return nn.ModuleList([Residual(width, width) for _ in range(modules)])

            self.up1_, self.low1_, self.low3_ = several(), several(), several()
            if depth > 1:
                self.low2 = Hourglass(depth - 1, modules, width)
            else:
                self.low2_ = several()

        def forward(self, x):
            up, low = x, nn.functional.max_pool2d(x, 2)
            for module in self.up1_:
                up = module(up)
            for module in self.low1_:
                low = module(low)
            for module in [self.low2] if hasattr(self, "low2") else self.low2_:
                low = module(low)
            for module in self.low3_:
                low = module(low)
            return up + nn.functional.interpolate(low, scale_factor=2, mode="nearest")

    class Network(nn.Module):
        def __init__(self, sizes):
            super().__init__()
            self.modules_each = sizes.modules
            width, joints = sizes.features, sizes.joints
            self.conv1_, self.bn1 = nn.Conv2d(3, 64, 7, stride=2, padding=3), nn.BatchNorm2d(64)
            self.r1, self.r4, self.r5 = Residual(64, 128), Residual(128, 128), Residual(128, width)
            stacks = range(sizes.stacks)
            self.hourglass = nn.ModuleList([Hourglass(4, sizes.modules, width) for _ in stacks])
            self.Residual = nn.ModuleList([Residual(width, width) for _ in range(sizes.stacks * sizes.modules)])
            self.lin_ = nn.ModuleList(
                [nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU()) for _ in stacks]
            )
            self.tmpOut = nn.ModuleList([nn.Conv2d(width, joints, 1) for _ in stacks])
            self.ll_ = nn.ModuleList([nn.Conv2d(width, width, 1) for _ in stacks])
            self.tmpOut_ = nn.ModuleList([nn.Conv2d(joints, width, 1) for _ in stacks])
            self.reg_ = nn.ModuleList([Residual(width, width) for _ in range(4 * sizes.modules)])
            self.reg = nn.Linear((sizes.resolution // 64) ** 2 * width, joints)

        def forward(self, x):
            modules = self.modules_each
            x = self.r1(torch.relu(self.bn1(self.conv1_(x))))
            x = self.r5(self.r4(nn.functional.max_pool2d(x, 2)))
            heatmaps = []
            for stack in range(len(self.lin_)):
                y = self.hourglass[stack](x)
                for number in range(modules):
                    y = self.Residual[stack * modules + number](y)
                y = self.lin_[stack](y)
                heatmaps.append(self.tmpOut[stack](y))
                x = x + self.ll_[stack](y) + self.tmpOut_[stack](heatmaps[-1])
            for number, module in enumerate(self.reg_):
                x = module(x)
                if number % modules == modules - 1:
                    x = nn.functional.max_pool2d(x, 2)
            return heatmaps, self.reg(x.flatten(1))

    def make(sizes, seed=0):
        torch.manual_seed(seed)
        network = Network(sizes)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor, low, high in (
                    (module.weight.data, 0.5, 1.5),
                    (module.bias.data, -0.5, 0.5),
                    (module.running_mean, -0.3, 0.3),
                    (module.running_var, 0.5, 2.0),
                ):
                    tensor.uniform_(low, high)
        return network.eval()

    return make


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory):
    """The weights folder of a small untrained network."""
    import tensorflow as tf

    from baseline_network.network import hourglass, network_files

    tf.keras.utils.set_random_seed(11)
    model = hourglass.build(hourglass.Sizes(stacks=1, modules=1, features=16, resolution=64), dtype="float32")
    return network_files.save(tmp_path_factory.mktemp("small") / "net", model, {"crop_margin": 1.25})


@pytest.fixture(scope="session")
def small_network(small_weights):
    """(network, predictor) of `small_weights`, as `network_flags.make_predictor` gives them."""
    from baseline_network.network import network_files
    from baseline_network.prediction.predictor import Predictor

    network = network_files.load(small_weights)
    return network, Predictor(network, flip=False)

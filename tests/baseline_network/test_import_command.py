"""tools/import_checkpoint.py --format=pytorch_hg3d: a PyTorch file becomes a weights folder that answers the same."""

import builtins

import numpy as np
import pytest

from baseline_network.network import hourglass, network_files
from baseline_network.prediction.predictor import Predictor
from tools import import_checkpoint
from tools.cli import command

SIZES = hourglass.Sizes(stacks=2, modules=1, features=16, resolution=64)
BONES = ((0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (10, 11), (11, 12), (12, 8), (8, 13), (13, 14), (14, 15))


def run(*arguments):
    """The command in this process; returns its exit status."""
    with pytest.raises(SystemExit) as left:
        command.run(
            import_checkpoint.main,
            import_checkpoint.declare,
            ["import_checkpoint.py", "--format=pytorch_hg3d", *map(str, arguments)],
        )
    return left.value.code


@pytest.fixture(scope="module")
def network(twin):
    return twin(SIZES, 4)


@pytest.fixture
def checkpoint(torch, network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "hg3d.pth")
    return tmp_path / "hg3d.pth"


def published_answer(heatmaps, depths):
    """Points in the crop, heights and the scaled pose, written from the published evaluation, one joint at a time."""
    points, heights = np.zeros((16, 2)), np.zeros(16)
    for joint, heatmap in enumerate(heatmaps):
        y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
        heights[joint], points[joint] = heatmap[y, x], (x, y)
        if 0 < x < heatmap.shape[1] - 1 and 0 < y < heatmap.shape[0] - 1:
            points[joint, 0] += 0.25 if heatmap[y, x + 1] >= heatmap[y, x - 1] else -0.25
            points[joint, 1] += 0.25 if heatmap[y + 1, x] >= heatmap[y - 1, x] else -0.25
    points = (points + 0.5) * 4
    pose = np.concatenate([points, depths[:, None] * SIZES.resolution / 2], 1)
    pose -= pose[6]
    bones = sum(np.linalg.norm(pose[a] - pose[b]) for a, b in (*BONES, (6, 8), (8, 9)))
    return points, heights, pose * 4296.99233013 / bones


def test_the_folder_answers_as_the_network(torch, network, checkpoint, tmp_path, capsys):
    assert run(f"--input={checkpoint}", f"--output={tmp_path / 'net'}") == 0
    told = capsys.readouterr().out
    assert "16 joints, crops of 64 px" in told
    assert "stacks 2, modules 1, features 16" in told
    loaded = network_files.load(tmp_path / "net")
    assert loaded.sizes == SIZES
    assert loaded.facts["checkpoint"] == "hg3d.pth"
    predictor = Predictor(loaded, flip=False)
    assert predictor.margin == 1.25
    images = np.random.default_rng(0).uniform(0, 255, [3, 64, 64, 3]).astype(np.float32)
    told = predictor.from_crops(images, np.tile(np.float32([[1, 0, 0], [0, 1, 0]]), (3, 1, 1)))
    with torch.no_grad():
        heatmaps, depths = network(torch.from_numpy(images[..., ::-1].transpose(0, 3, 1, 2) / 256.0))
    for person in range(3):
        points, heights, pose = published_answer(heatmaps[-1][person].numpy(), depths[person].numpy())
        np.testing.assert_allclose(told["points"][person], points, atol=1e-4)
        np.testing.assert_allclose(told["confidence"][person], heights, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(told["pose_3d"][person], pose, rtol=1e-4, atol=1e-4 * np.abs(pose).max())


def test_the_margin_is_the_users_to_tell(checkpoint, tmp_path):
    assert run(f"--input={checkpoint}", f"--output={tmp_path / 'net'}", "--margin=1.5") == 0
    assert Predictor(network_files.load(tmp_path / "net")).margin == 1.5


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--input={}/none.pth"], ["none.pth: no such file"]),
        (["--input={}/text.pth"], ["text.pth: not a PyTorch file, or a damaged one"]),
        (["--residual"], ["--residual is for TF1 checkpoints"]),
        (["--statistics=x"], ["--statistics is for TF1 checkpoints"]),
        (["--margin=0"], ["--margin=0"]),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(flags, words, checkpoint, tmp_path, assert_error):
    (tmp_path / "text.pth").write_text("text")
    flags = [flag.format(tmp_path) for flag in flags]
    assert run(f"--input={checkpoint}", f"--output={tmp_path / 'net'}", *flags) == 2
    assert_error(*words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hg3d.pth", "text.pth"]


def test_nothing_is_overwritten_unasked(checkpoint, tmp_path, assert_error):
    flags = [f"--input={checkpoint}", f"--output={tmp_path / 'net'}"]
    assert run(*flags) == 0
    assert run(*flags) == 2
    assert_error("exists already; --overwrite replaces it")
    (tmp_path / "net" / "README.md").write_text("a card")
    assert run(*flags, "--overwrite") == 0
    assert (tmp_path / "net" / "README.md").read_text() == "a card"
    (tmp_path / "net" / "thesis.tex").write_text("mine")
    assert run(*flags, "--overwrite") == 2
    assert_error("holds thesis.tex, which is no part of a weights folder")


def test_without_pytorch_it_says_what_to_install(tmp_path, monkeypatch, assert_error):
    (tmp_path / "hg3d.pth").write_bytes(b"x")
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name == "torch":
            raise ImportError("No module named 'torch'")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert run(f"--input={tmp_path / 'hg3d.pth'}", f"--output={tmp_path / 'net'}") == 2
    assert_error("needs PyTorch: pip install -e '.[torch]'")

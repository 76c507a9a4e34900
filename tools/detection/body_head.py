"""A small network on the landmark network's inner maps: the 14 joints of Leeds Sports Pose in a region.

MediaPipe's landmark network reads people in unusual poses the wrong way round, although its inner maps show where their
joints are. The head (`weights/body_head.tflite`, trained on Leeds Sports Pose, extended: research weights, see the card
beside it) gives for each joint a probability of every cell of a 32 x 32 grid over the region.
"""

from __future__ import annotations

import functools
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tools.cli.errors import InputError
from tools.detection import regions
from tools.detection.regions import Region
from tools.files import checksums, inputs
from tools.pose import joints

JOINT_SET = "lsp14"
_SET = joints.joint_set(JOINT_SET)
JOINTS = _SET.size
CELLS = 32
# Tensors of the landmark network that are the head's inputs, in this order: its heat maps [64, 64, 39], its decoder
# [32, 32, 48], and its encoder [32, 32, 32], [16, 16, 88] and [8, 8, 144].
INNER = (298, 277, 226, 251, 269)
# Of its 39 heat maps the head sees these: nose, ears, limbs, and two that name the next region.
MAPS = (0, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28, 33, 34)
WEIGHTS = pathlib.Path(__file__).parent / "weights" / "body_head.tflite"
# SHA-256 of the file, in the file beside it: TensorFlow Lite ends the process on a damaged file, instead of saying so.
CHECKSUM = WEIGHTS.with_suffix(".sha256")
_LARGEST_SUM = 4096  # bytes of such a file
# A joint lies where most probability is within so many cells: about half of a head's length.
_REACH = 1.6
_HIPS = [_SET.index(name) for name in ("RHip", "LHip")]
_NECK = _SET.index("Neck")
# Of the region's half side over the distance of the farthest joint from the hips, as in the training's regions.
_LARGER = 1.1 * 1.25


# The head's inputs, and what it gives, without the batch.
_SHAPES = ((64, 64, 39), (32, 32, 48), (32, 32, 32), (16, 16, 88), (8, 8, 144))
_GRID = (CELLS, CELLS, JOINTS)
# Loads a head and runs it once; such a small network needs no gigabytes.
_TRY = """
import resource, sys
import numpy as np, tensorflow as tf
resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
head = tf.lite.Interpreter(sys.argv[1])
head.allocate_tensors()
for entry in head.get_input_details():
    head.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
head.invoke()
"""
_TRY_S = 120.0


def checksum() -> str:
    """SHA-256 that the shipped weights are to have; '' where nothing says it."""
    return _said(CHECKSUM)


def _said(path: pathlib.Path) -> str:
    """The SHA-256 that a file names; '' where there is none."""
    try:
        return (inputs.read_bytes(path, _LARGEST_SUM).decode().split() or [""])[0]
    except (InputError, UnicodeDecodeError):
        return ""


def weights_file(place: str = "") -> pathlib.Path:
    """The file of the head of a folder with body_head.tflite, or the .tflite itself; '': the shipped one."""
    if not place:
        return WEIGHTS
    path = pathlib.Path(place)
    return path / WEIGHTS.name if path.is_dir() else path


def check(place: str = "") -> str:
    """SHA-256 of a head's file, see `weights_file`.

    Raises:
      InputError: it is missing, or damaged: not the file that the .sha256 beside it names; or a head of one's own that
        TensorFlow Lite does not run.
    """
    path = weights_file(place)
    said = _said(path.with_suffix(".sha256")) if place else checksum()
    actual = checksums.of_file(path) if path.is_file() else ""
    if place and not actual:
        raise InputError(f"{path}: no such file; expected a folder with {WEIGHTS.name} of train_body_head.py")
    if (not actual or actual != said) and not (place and not path.with_suffix(".sha256").exists()):
        way_out = "" if place else "; --detector=mediapipe_only does without it"
        raise InputError(
            f"{path}: missing, damaged, or not the file that {path.with_suffix('.sha256').name} names{way_out}"
        )
    if place and actual != checksum() and not _runs(str(path), actual):  # whoever made a file can name its SHA-256 too
        raise InputError(f"{path}: not a TensorFlow Lite model, or damaged; train_body_head.py writes body heads")
    return actual


@functools.cache
def _runs(path: str, actual: str) -> bool:
    """Whether TensorFlow Lite runs a file of that SHA-256, tried in a process of its own, which it may end."""
    try:
        tried = subprocess.run([sys.executable, "-c", _TRY, path], capture_output=True, check=False, timeout=_TRY_S)
    except subprocess.TimeoutExpired:
        return False
    return tried.returncode == 0


class Body(NamedTuple):
    """The joints of `lsp14` in a region.

    Attributes:
      points: [14, 2] px of the picture.
      confidence: [14] 0..1, the probability of lying within about half of a head.
      support: [14] 0..1, that probability where the landmark network reads the joint.
    """

    points: np.ndarray
    confidence: np.ndarray
    support: np.ndarray


def _spread(maps: np.ndarray) -> np.ndarray:
    """[h, w, J] probabilities summed over the cells within reach of each cell."""
    height, width = maps.shape[:2]
    edge = int(_REACH)
    padded = np.pad(maps, ((edge, edge), (edge, edge), (0, 0)))
    total = np.zeros_like(maps)
    for down, right in _near():
        total += padded[edge + down : edge + down + height, edge + right : edge + right + width]
    return total


def _near() -> list[tuple[int, int]]:
    """Steps (down, right) to the cells within reach."""
    edge = int(_REACH)
    steps = range(-edge, edge + 1)
    return [(down, right) for down in steps for right in steps if np.hypot(down, right) <= _REACH]


def decode(logits: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints of a grid of logits.

    Args:
      logits: [h, w, J]; the softmax over all cells of a joint is its probability. others: [J, 2] x, y in 0..1, other
        places of the joints.

    Returns:
      places [J, 2] x, y in 0..1: the mean of the cells within reach of the one around which most probability lies; [J]
      that probability, and [J] the one around the cell of the other place, 0 outside.
    """
    height, width, count = logits.shape
    maps = np.exp(logits.astype(np.float64) - logits.max((0, 1)))
    maps /= maps.sum((0, 1))
    total = _spread(maps).reshape(-1, count)
    best = total.argmax(0)
    rows, columns = np.divmod(best, width)
    edge, each = int(_REACH), np.arange(count)
    padded = np.pad(maps, ((edge, edge), (edge, edge), (0, 0)))
    mass, x, y = np.zeros(count), np.zeros(count), np.zeros(count)
    for down, right in _near():
        share = padded[rows + edge + down, columns + edge + right, each]
        mass, x, y = mass + share, x + share * right, y + share * down
    places = np.stack([(columns + x / mass + 0.5) / width, (rows + y / mass + 0.5) / height], -1)
    cells = np.floor(np.clip(others, -1.0, 2.0) * [width, height]).astype(int)
    inside = ((cells >= 0) & (cells < [width, height])).all(-1)
    support = np.where(inside, total[np.where(inside, cells[:, 1] * width + cells[:, 0], 0), each], 0.0)
    return places, total[best, each], support


class BodyHead:
    """The head in an interpreter. Not to be shared by threads."""

    def __init__(self, threads: int = 1, place: str = ""):
        """place: see `weights_file`. Raises `InputError` for weights that are missing, damaged, or no head's."""
        import tensorflow as tf

        check(place)
        self._interpreter = tf.lite.Interpreter(str(weights_file(place)), num_threads=threads)
        self._interpreter.allocate_tensors()
        taken, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._inputs = {tuple(entry["shape"][1:]): entry["index"] for entry in taken}
        if set(self._inputs) != set(_SHAPES) or [tuple(entry["shape"][1:]) for entry in outputs] != [_GRID]:
            raise InputError(f"{weights_file(place)}: not a body head: other inputs or outputs")
        self._output = outputs[0]["index"]

    def logits(self, inner: Sequence[np.ndarray]) -> np.ndarray:
        """[32, 32, 14] of the landmark network's tensors `INNER`."""
        for values in inner:
            self._interpreter.set_tensor(self._inputs[values.shape], values[None])
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)[0]

    def read(self, inner: Sequence[np.ndarray], others: np.ndarray, region: Region, mirrored: bool) -> Body:
        """The body in a region whose inner maps these are.

        Args:
          others: [14, 2] x, y in 0..1 of the maps, where the landmark network reads the joints.
          mirrored: maps and places are of the region's mirror image.
        """
        places, confidence, support = decode(self.logits(inner), others)
        if mirrored:
            places, confidence, support = (values[_SET.mirror] for values in (places, confidence, support))
            places[:, 0] = 1.0 - places[:, 0]
        return Body(region.to_picture(places), confidence, support)


def joined(bodies: Sequence[Body]) -> Body:
    """Several readings of one body as one: each joint from the reading that is surest of it; the mean support."""
    confidence = np.stack([body.confidence for body in bodies])
    best = confidence.argmax(0), np.arange(JOINTS)
    support = np.mean([body.support for body in bodies], 0)
    return Body(np.stack([body.points for body in bodies])[best], confidence[best], support)


def region_of(points: np.ndarray) -> Region:
    """The square in which a body [14, 2] px stands upright."""
    centre = points[_HIPS].mean(0)
    reach = np.linalg.norm(points - centre, axis=-1).max()
    way = points[_NECK] - centre
    length = np.hypot(*way)
    up = way / length if length > 1e-6 else np.array([0.0, -1.0])
    return regions.upright_person(centre, centre + up * reach, _LARGER)

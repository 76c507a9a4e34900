"""How near the synthetic people are to motion capture: joint angles, bone lengths and 2D spread, in figures and a plot.

Reads motion capture as one array ``[frames, 17, 3]`` mm per sequence, z up, in Human3.6M's order of the 17 joints
(``.npz``), draws as many synthetic poses, and sees both through the same kind of cameras.
"""

from __future__ import annotations

import os
import pathlib
import sys
import zipfile
from dataclasses import dataclass

import numpy as np

from tfrecords.synthetic import cameras as synthetic_cameras
from tfrecords.synthetic import poses as synthetic_poses
from tools.cli import command
from tools.cli.errors import InputError
from tools.pose import joints

BINS = 36
(HEAD, NECK, THORAX, R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST, SPINE, HIP,
 R_HIP, R_KNEE, R_FOOT, L_HIP, L_KNEE, L_FOOT) = range(17)  # fmt: skip

# name -> (unit, least and greatest value shown; what lies outside counts in the outermost bins)
MEASURES = {
    "knee flexion": ("deg", 0, 150),
    "elbow flexion": ("deg", 0, 160),
    "hip elevation": ("deg", 0, 130),
    "shoulder elevation": ("deg", 0, 170),
    "hip flexion": ("deg", -60, 130),
    "hip abduction": ("deg", -40, 70),
    "shoulder flexion": ("deg", -80, 180),
    "shoulder abduction": ("deg", -60, 120),
    "trunk inclination": ("deg", 0, 90),
    "head pitch": ("deg", -60, 90),
    "shoulders over hips": ("deg", -60, 60),
    "wrist height": ("leg lengths", -1, 2),
    "feet apart": ("leg lengths", 0, 1.6),
}
ANGLES = tuple(name for name, (unit, _, _) in MEASURES.items() if unit == "deg")
BONES = {
    "upper arm": ((R_SHOULDER, R_ELBOW), (L_SHOULDER, L_ELBOW)),
    "forearm": ((R_ELBOW, R_WRIST), (L_ELBOW, L_WRIST)),
    "thigh": ((R_HIP, R_KNEE), (L_HIP, L_KNEE)),
    "shin": ((R_KNEE, R_FOOT), (L_KNEE, L_FOOT)),
    "hips": ((R_HIP, L_HIP),),
    "shoulders": ((R_SHOULDER, L_SHOULDER),),
    "hip to thorax": ((HIP, THORAX),),
    "thorax to head": ((THORAX, HEAD),),
}


@dataclass(frozen=True)
class Comparison:
    """Two samples of each measure with how near they are.

    ``samples`` maps a measure's name to (synthetic, motion capture); ``limits`` to the range of its histogram;
    ``overlap`` to the shared area of the two histograms in 0-1; ``distance`` to their Wasserstein distance in the unit
    of the measure.
    """

    samples: dict
    limits: dict
    overlap: dict
    distance: dict


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _between(a, b):
    """Angle between vectors ``[..., 3]``, degrees."""
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1)))


def measure(poses: np.ndarray) -> dict:
    """Returns name -> values for each of ``MEASURES``, of poses ``[n, 17, 3]`` mm in a world with z up.

    Left and right limbs are pooled (``[2 n]``). Limbs are measured against the trunk, from Hip to Thorax: elevation is
    the angle from straight down, flexion and abduction are its parts forwards and outwards (the swing vector).
    """
    poses = np.asarray(poses, np.float64)
    up = _unit(poses[:, THORAX] - poses[:, HIP])
    across = {"hip": poses[:, L_HIP] - poses[:, R_HIP], "shoulder": poses[:, L_SHOULDER] - poses[:, R_SHOULDER]}
    frames = {}
    for name, left in across.items():
        ahead = _unit(np.cross(left, up))
        frames[name] = (ahead, np.cross(up, ahead))
    out = {
        "knee flexion": [],
        "elbow flexion": [],
        **{f"{joint} {part}": [] for joint in ("hip", "shoulder") for part in ("elevation", "flexion", "abduction")},
    }
    limbs = (
        ("shoulder", "elbow", R_SHOULDER, -1), ("shoulder", "elbow", L_SHOULDER, 1),
        ("hip", "knee", R_HIP, -1), ("hip", "knee", L_HIP, 1),
    )  # fmt: skip
    for joint, hinge, first, sign in limbs:
        upper, lower = poses[:, first + 1] - poses[:, first], poses[:, first + 2] - poses[:, first + 1]
        out[f"{hinge} flexion"].append(_between(upper, lower))
        elevation = _between(upper, -up)
        ahead, left = ((upper * axis).sum(-1) for axis in frames[joint])
        flat = np.maximum(np.hypot(ahead, left), 1e-9)
        out[f"{joint} elevation"].append(elevation)
        out[f"{joint} flexion"].append(elevation * ahead / flat)
        out[f"{joint} abduction"].append(elevation * sign * left / flat)
    out = {name: np.concatenate(values) for name, values in out.items()}
    out["trunk inclination"] = _between(up, np.array([0.0, 0.0, 1.0]))
    neck = poses[:, HEAD] - poses[:, THORAX]
    out["head pitch"] = np.degrees(np.arctan2((neck * frames["shoulder"][0]).sum(-1), (neck * up).sum(-1)))
    hips, shoulders = frames["hip"][1], frames["shoulder"][1]
    turn = (np.cross(hips, shoulders) * up).sum(-1)
    out["shoulders over hips"] = np.degrees(np.arctan2(turn, (hips * shoulders).sum(-1)))
    leg = np.linalg.norm(poses[:, R_HIP] - poses[:, R_KNEE], axis=-1)
    leg = leg + np.linalg.norm(poses[:, R_KNEE] - poses[:, R_FOOT], axis=-1)
    wrists = poses[:, [R_WRIST, L_WRIST], 2] - poses[:, [HIP], 2]
    out["wrist height"] = (wrists / leg[:, None]).T.ravel()
    out["feet apart"] = np.linalg.norm(poses[:, R_FOOT] - poses[:, L_FOOT], axis=-1) / leg
    return {name: out[name] for name in MEASURES}


def bone_lengths(poses: np.ndarray) -> dict:
    """Returns name -> lengths in mm for each of ``BONES``, of poses ``[n, 17, 3]``."""
    poses = np.asarray(poses, np.float64)
    return {
        name: np.concatenate([np.linalg.norm(poses[:, a] - poses[:, b], axis=-1) for a, b in pairs])
        for name, pairs in BONES.items()
    }


def normalised_2d(pixels: np.ndarray) -> np.ndarray:
    """Returns 2D poses ``[n, 17, 2]`` about their root, divided by the root-mean-square distance of their joints."""
    centred = np.asarray(pixels, np.float64) - pixels[:, HIP : HIP + 1]
    return centred / np.sqrt((centred**2).sum(-1).mean(-1))[:, None, None]


def overlap_coefficient(first: np.ndarray, second: np.ndarray, low: float, high: float) -> float:
    """Returns the area that two normalised histograms of ``BINS`` bins share, 0 (apart) to 1 (alike)."""
    edges = np.linspace(low, high, BINS + 1)
    shares = [np.histogram(np.clip(values, low, high), edges)[0] / len(values) for values in (first, second)]
    return float(np.minimum(*shares).sum())


def wasserstein(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the mean distance between equal quantiles of two samples (1000 of them), in their unit."""
    levels = (np.arange(1000) + 0.5) / 1000
    return float(np.abs(np.quantile(first, levels) - np.quantile(second, levels)).mean())


def compare(synthetic: np.ndarray, captured: np.ndarray, style: str = "wild", seed: int = 0) -> Comparison:
    """Compares poses ``[n, 17, 3]`` with motion capture ``[m, 17, 3]``, both mm, z up, in this project's order.

    2D measures ("2D x <joint>", "2D y <joint>") come from one camera for each pose of that ``style``.
    """
    samples = {name: [values] for name, values in measure(synthetic).items()}
    limits = {name: tuple(limit) for name, (_, *limit) in MEASURES.items()}
    for name, values in measure(captured).items():
        samples[name].append(values)
    for name, values in bone_lengths(synthetic).items():
        samples[f"{name} (mm)"] = [values, bone_lengths(captured)[name]]
        limits[f"{name} (mm)"] = (0.4 * np.median(values), 1.6 * np.median(values))
    flat = [
        normalised_2d(synthetic_cameras.see(np.random.default_rng([seed, i]), poses, style).pixels)
        for i, poses in enumerate((synthetic, captured))
    ]
    for joint in range(17):
        if joint != HIP:
            for axis, letter in enumerate("xy"):
                name = f"2D {letter} {joints.POSE17.joints[joint]}"
                samples[name] = [poses[:, joint, axis] for poses in flat]
                limits[name] = (-2.5, 2.5)
    overlap = {name: overlap_coefficient(*pair, *limits[name]) for name, pair in samples.items()}
    distance = {name: wasserstein(*pair) for name, pair in samples.items()}
    return Comparison(samples, limits, overlap, distance)


def mean_overlap(comparison: Comparison, kind: str) -> float:
    """Returns the mean overlap of the ``kind`` "angles", "bones" or "2D"."""
    chosen = {
        "angles": lambda name: name in ANGLES,
        "bones": lambda name: name.endswith("(mm)"),
        "2D": lambda name: name.startswith("2D "),
    }[kind]
    return float(np.mean([value for name, value in comparison.overlap.items() if chosen(name)]))


def read_capture(path) -> np.ndarray:
    """Returns the poses ``[n, 17, 3]`` float64 mm, this project's order, of an ``.npz`` of sequences in Human3.6M's.

    Sequences that stand more than 2 m above or below the ground are moved down or up onto it, so that cameras are
    placed alike. Raises InputError when it is not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            sequences = [archive[name] for name in archive.files]
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not an .npz of arrays ({error})") from error
    for i, sequence in enumerate(sequences):
        if sequence.ndim != 3 or sequence.shape[1:] != (17, 3):
            raise InputError(f"{path}: array {i} must be [frames, 17, 3], is {list(sequence.shape)}")
    if not sequences:
        raise InputError(f"{path}: no sequence")
    poses = joints.convert(np.concatenate(sequences), "h36m17")[0].astype(np.float64)
    lowest = poses[..., 2].min(1)
    poses[..., 2] -= np.where(np.abs(lowest) > 2000.0, lowest, 0.0)[:, None]
    return poses


def report(comparison: Comparison) -> str:
    """Returns a table, a line per measure: medians, overlap, Wasserstein distance."""
    lines = [f"{'measure':24s} {'synthetic':>10s} {'captured':>10s} {'overlap':>8s} {'distance':>9s}"]
    for name, (first, second) in comparison.samples.items():
        if not name.startswith("2D "):
            medians = f"{np.median(first):10.2f} {np.median(second):10.2f}"
            lines.append(f"{name:24s} {medians} {comparison.overlap[name]:8.2f} {comparison.distance[name]:9.2f}")
    for kind in ("angles", "bones", "2D"):
        lines.append(f"mean overlap, {kind}: {mean_overlap(comparison, kind):.2f}")
    return "\n".join(lines)


def draw(comparison: Comparison, path) -> None:
    """Writes the histograms of a comparison as one picture; the path's suffix is its kind (.png, .svg, .pdf)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from tools.drawing.plots import SERIES

    names = [name for name in comparison.samples if not name.startswith("2D ")]
    columns = 5
    rows = -(-(len(names) + 2) // columns)
    figure = Figure(figsize=(3.3 * columns, 2.5 * rows), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns).ravel()
    for axes, name in zip(grid, names):
        edges = np.linspace(*comparison.limits[name], BINS + 1)
        for values, label, colour in zip(comparison.samples[name], ("synthetic", "captured"), SERIES):
            kept = np.clip(values, edges[0], edges[-1])
            axes.hist(kept, edges, density=True, color=colour, alpha=0.5, label=label)
        axes.set_title(f"{name}: overlap {comparison.overlap[name]:.2f}", fontsize=9)
        axes.set_yticks([])
        axes.tick_params(labelsize=8)
    grid[0].legend(fontsize=8, frameon=False)
    for axes, letter in zip(grid[len(names) :], "xy"):
        chosen = [name for name in comparison.samples if name.startswith(f"2D {letter} ")]
        for i, (label, colour) in enumerate(zip(("synthetic", "captured"), SERIES)):
            low, middle, high = np.array(
                [np.percentile(comparison.samples[name][i], (10, 50, 90)) for name in chosen]
            ).T
            place = np.arange(len(chosen)) + 0.3 * i
            axes.errorbar(place, middle, (middle - low, high - middle), fmt="o", ms=3, color=colour, label=label)
        axes.set_xticks(np.arange(len(chosen)) + 0.15, [name[5:] for name in chosen], rotation=90, fontsize=7)
        axes.set_title(f"2D {letter} / size: 10, 50, 90 %", fontsize=9)
        axes.tick_params(axis="y", labelsize=8)
        if letter == "y":
            axes.invert_yaxis()
    for axes in grid[len(names) + 2 :]:
        axes.set_visible(False)
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        figure.savefig(temporary)
        os.replace(temporary, path)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def declare() -> command.Flags:
    """The flags of this command."""
    flags = command.Flags(__doc__)
    with flags.group("Comparison"):
        flags.string("capture", "", "motion capture: .npz of [frames, 17, 3] mm, z up, Human3.6M's order")
        flags.string("output", "", "picture to write: .png, .svg or .pdf")
        flags.boolean("overwrite", False, "replace the picture if it is there")
        flags.integer("count", 30_000, "synthetic poses to draw", lower_bound=100)
        flags.integer("seed", 0, "seed of poses and cameras", lower_bound=0)
        flags.enum("cameras", "wild", ("h36m", "wild"), "cameras that see both")
    return flags


def main(options) -> None:
    """Compares, prints the table and writes the picture."""
    options.require("capture", "output")
    output = pathlib.Path(options.output)
    if output.exists() and not options.overwrite:
        raise InputError(f"{output} is there already; --overwrite replaces it")
    output.parent.mkdir(parents=True, exist_ok=True)
    captured = read_capture(options.capture)
    poses = synthetic_poses.make_poses(options.seed, 0, options.count)
    comparison = compare(poses.joints, captured, options.cameras, options.seed)
    print(report(comparison))
    draw(comparison, output)
    print(f"plot: {output}")


if __name__ == "__main__":
    command.run(main, declare, sys.argv)

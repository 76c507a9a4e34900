"""BVH for Blender, Unity, Unreal and MotionBuilder: a person's motion as rotations of bones of constant length.

Units are centimetres, y is up, the camera looks along -z. The root's path is the label's; the floor, where the lowest
foot is, is at y = 0. Joints are where the labels have them: `rotations` points every bone exactly.
"""

from __future__ import annotations

import pathlib

import numpy as np

from tfrecords.exports import rotations, skeletons
from tools.files import atomic
from tools.pose import bones
from tools.pose.joints import POSE17

CENTIMETRES = 0.1
_CHANNELS = "Zrotation Xrotation Yrotation"


def y_up(places: np.ndarray) -> np.ndarray:
    """[..., 3] camera axes (x right, y down, z away) as axes with y up and z towards the viewer."""
    return places * np.array([1.0, -1.0, -1.0])


def write_bvh(
    path: str | pathlib.Path,
    poses_3d: np.ndarray,
    roots: np.ndarray,
    fps: float,
    names: str = "cgspeed",
    origin: np.ndarray | None = None,
) -> None:
    """Writes one person's motion.

    Args:
      poses_3d: [T, 17, 3] mm relative to the root, bones of constant length (see `sequences`), camera axes.
      roots: [T, 3] mm. fps: frames a second. names: of `skeletons.NAMES`.
      origin: [3] mm in axes with y up, what becomes (0, 0, 0); None: below the first root, at the lowest foot.

    Raises:
      InputError: other names, or a file that can't be written.
      ValueError: no frames, or poses that are not finite.
    """
    if not len(poses_3d) or not np.isfinite(poses_3d).all() or not np.isfinite(roots).all():
        raise ValueError("a motion has at least one frame, and all of them are finite")
    nodes = skeletons.nodes_of(names)
    up = y_up(np.asarray(poses_3d, np.float64))
    places = y_up(np.asarray(roots, np.float64))
    places = places - (floor_origin(poses_3d, roots) if origin is None else origin)
    lengths = np.zeros(POSE17.size)
    lengths[bones.ENDS] = np.median(np.linalg.norm(up[:, bones.ENDS] - up[:, bones.STARTS], axis=-1), 0)
    turns = rotations.local_rotations(up)
    lines = ["HIERARCHY"]
    _hierarchy(nodes, next(iter(nodes)), lengths, 0, lines)
    columns = [places * CENTIMETRES]
    for node in _in_file_order(nodes):
        turn = turns.get(node.key, np.broadcast_to(np.eye(3), (len(up), 3, 3)))
        if names == "mixamo" and node.key.endswith("thigh"):
            turn = turns[node.key.replace("thigh", "hip")] @ turn  # the node between, which Mixamo lacks
        columns.append(rotations.euler_zxy(turn))
    motion = np.concatenate(columns, 1)
    lines += ["MOTION", f"Frames: {len(motion)}", f"Frame Time: {1.0 / fps:.8f}"]
    lines += [" ".join(f"{number:.5f}" for number in row) for row in motion]
    atomic.write_text(path, "\n".join(lines) + "\n")


def floor_origin(poses_3d: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """[3] mm, y up: below the root of the first frame, as low as the lowest foot of all frames."""
    feet = y_up(poses_3d + roots[:, None])[:, [POSE17.index("RFoot"), POSE17.index("LFoot")], 1]
    first = y_up(roots[0])
    return np.array([first[0], float(feet.min()), first[2]])


def _children(nodes: dict[str, skeletons.Node], name: str) -> list[str]:
    return [child for child, node in nodes.items() if node.parent == name]


def _in_file_order(nodes: dict[str, skeletons.Node]) -> list[skeletons.Node]:
    """Nodes as the hierarchy lists them: each before its children, and these one after the other."""
    order: list[skeletons.Node] = []

    def visit(name: str) -> None:
        order.append(nodes[name])
        for child in _children(nodes, name):
            visit(child)

    visit(next(iter(nodes)))
    return order


def _hierarchy(nodes: dict[str, skeletons.Node], name: str, lengths: np.ndarray, depth: int, lines: list[str]) -> None:
    pad, node = "\t" * depth, nodes[name]
    lines += [f"{pad}{'JOINT' if depth else 'ROOT'} {name}", f"{pad}{{"]
    lines.append(f"{pad}\tOFFSET {_numbers(skeletons.offset_mm(node, lengths))}")
    channels = f"3 {_CHANNELS}" if depth else f"6 Xposition Yposition Zposition {_CHANNELS}"
    lines.append(f"{pad}\tCHANNELS {channels}")
    for child in _children(nodes, name):
        _hierarchy(nodes, child, lengths, depth + 1, lines)
    end = skeletons.end_mm(node, lengths)
    if end is not None:
        lines += [f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET {_numbers(end)}", f"{pad}\t}}"]
    lines.append(f"{pad}}}")


def _numbers(vector: np.ndarray) -> str:
    return " ".join(f"{number * CENTIMETRES + 0.0:.6f}" for number in vector)

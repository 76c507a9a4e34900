"""3D from 2D key points with TensorFlow Lite alone, neither TensorFlow nor this project.

    python label_generator/export.py --format=tflite --output=on_phones                    once, where this project is
    python lift_with_tflite.py on_phones keypoints.json                                    anywhere, with:
    pip install ai-edge-litert numpy          or tflite-runtime, or tensorflow

keypoints.json holds poses as lists of 17 points [x, y] in px, in the order that metadata.json names under "joints";
null where a joint is missing. The camera is unknown unless fx,fy,cx,cy in px is given as a third argument.
"""

import json
import pathlib
import sys

import numpy as np


def open_model(path: pathlib.Path):
    """The signature of a TFLite file as a function, by whichever package is installed."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError:
            from tensorflow import lite

            Interpreter = lite.Interpreter
    return Interpreter(model_path=str(path)).get_signature_runner()


def main() -> None:
    """Prints each pose's 3D joints in mm relative to the root."""
    folder = pathlib.Path(sys.argv[1])
    content = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    lift = open_model(folder / "generator.tflite")
    camera = [float(number) for number in sys.argv[3].split(",")] if len(sys.argv) > 3 else [np.nan] * 4
    for number, pose in enumerate(json.loads(pathlib.Path(sys.argv[2]).read_text(encoding="utf-8"))):
        points = np.array([point or [np.nan, np.nan] for point in pose], np.float32)[None]
        found = lift(
            poses_2d=points,
            intrinsics=np.array([camera], np.float32),
            joint_mask=np.isfinite(points).all(-1),
        )
        reason = content["reasons"][int(found["reason"][0])]
        if reason:
            print(f"pose {number}: no label, {reason}")
            continue
        kind = "nominally " if found["nominal"][0] else ""
        print(f"pose {number}: quality {found['quality'][0]:.2f}, {kind}{found['root_3d'][0, 2] / 1000:.2f} m away")
        for name, (x, y, z) in zip(content["joints"], found["pose_3d"][0]):
            print(f"  {name:10} {x:8.1f} {y:8.1f} {z:8.1f}")


if __name__ == "__main__":
    main()

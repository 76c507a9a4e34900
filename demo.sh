#!/usr/bin/env bash
# Makes the environment if need be, then shows the main job: 2D poses in, 3D labels and pictures out.
# ./demo.sh [keypoints file or folder] [flags of label_generator/demo.py]
. "$(dirname "${BASH_SOURCE[0]}")/tools/setup_environment.sh"
setup_environment
exec "$PYTHON" "$ROOT/label_generator/demo.py" "$@"

#!/usr/bin/env bash
# Makes the environment if need be, then shows the main job: 2D poses in, 3D labels and pictures out; then the baseline
# network, trained with such labels, on pictures of its own.
# ./demo.sh [keypoints file or folder] [flags of label_generator/demo.py]
# ./demo.sh photo.jpg [flags of baseline_network/demo.py]
. "$(dirname "${BASH_SOURCE[0]}")/tools/setup_environment.sh"
setup_environment
shopt -s nocasematch
case "${1-}" in
*.jpg | *.jpeg | *.png | *.bmp | *.webp | *.tif | *.tiff) exec "$PYTHON" "$ROOT/baseline_network/demo.py" "$@" ;;
"")
    "$PYTHON" "$ROOT/label_generator/demo.py"
    exec "$PYTHON" "$ROOT/baseline_network/demo.py"
    ;;
*) exec "$PYTHON" "$ROOT/label_generator/demo.py" "$@" ;;
esac

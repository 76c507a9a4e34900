#!/usr/bin/env bash
# Makes the environment if need be, then shows the main job: 2D poses in, 3D labels and pictures out; then the baseline
# network, trained with such labels, on pictures of its own.
# ./demo.sh [keypoints file or folder] [flags of label_generator/demo.py]
# ./demo.sh photo.jpg|video.mp4 [flags of label_generator/generate.py]: people found, lifted, drawn
. "$(dirname "${BASH_SOURCE[0]}")/tools/setup_environment.sh"
setup_environment
shopt -s nocasematch
case "${1-}" in
*.jpg | *.jpeg | *.png | *.bmp | *.webp | *.tif | *.tiff | *.mp4 | *.m4v | *.mov | *.avi | *.mkv | *.webm | *.mpg | *.mpeg | *.gif)
    exec "$PYTHON" "$ROOT/label_generator/generate.py" --input="$1" --output=demo_output/photographs --overwrite "${@:2}"
    ;;
"")
    "$PYTHON" "$ROOT/label_generator/demo.py"
    exec "$PYTHON" "$ROOT/baseline_network/demo.py"
    ;;
*) exec "$PYTHON" "$ROOT/label_generator/demo.py" "$@" ;;
esac

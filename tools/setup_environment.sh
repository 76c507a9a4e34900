# Sourced by demo.sh and test.sh: makes .venv with everything the project needs, or finds it made already.
#
# setup_environment [EXTRA]   installs the requirements, the project itself (editable) and the named extra of setup.py.
# Afterwards $PYTHON is the interpreter to use. Ends the calling script with status 2 when it can't be done.
#
# On Linux, x86_64, Python 3.11 these are the versions of requirements.lock, each with its hash: what is tested is what
# is installed. Elsewhere, or with POSE3D_UNLOCKED=1, they are what requirements.txt and setup.py allow today.

set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"
PYTHON="$VENV/bin/python"
# Carries the two model files that find people in photographs; nothing of it is imported, so its dependencies, which
# would move TensorFlow's, stay out.
MODELS_WHEEL="mediapipe==0.10.21"
# Where no Python fits, uv brings one. Both lie here, inside the folder of the project, and go with it.
UV_HOME="$ROOT/.uv"
UV_VERSION="0.13.9"

_fits() { "$1" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 11))' >/dev/null 2>&1; }

# Any Python 3 with pip.
_other_python() {
    local candidate
    for candidate in python3 python3.12 python3.13 python3.14; do
        if "$candidate" -m pip --version >/dev/null 2>&1; then echo "$candidate"; return; fi
    done
    return 1
}

_can_fetch_uv() { [ -x "$UV_HOME/bin/uv" ] || _other_python >/dev/null || command -v curl >/dev/null 2>&1; }

# uv is one program, which its wheel carries; without pip, its makers' installer. Nothing outside of .uv is changed.
_fetch_uv() {
    local python
    if [ -x "$UV_HOME/bin/uv" ]; then return; fi
    if python="$(_other_python)"; then
        PIP_ROOT_USER_ACTION=ignore "$python" -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
            --target "$UV_HOME" "uv==$UV_VERSION" && return
    fi
    if command -v curl >/dev/null 2>&1; then
        curl --fail --silent --show-error --location "https://astral.sh/uv/$UV_VERSION/install.sh" |
            UV_UNMANAGED_INSTALL="$UV_HOME/bin" sh >/dev/null && return
    fi
    rm -rf "$UV_HOME"
    return 1
}

_make_venv() {
    local candidate
    for candidate in ${POSE3D_PYTHON:-python3.11 python3.10 python3.9 python3}; do
        if command -v "$candidate" >/dev/null 2>&1 && _fits "$candidate"; then
            echo "Making .venv with $("$candidate" --version)"
            # Debian packages venv apart from Python; a failed attempt must not leave half an environment behind.
            if "$candidate" -m venv "$VENV" >/dev/null 2>&1; then return; fi
            rm -rf "$VENV"
        fi
    done
    if [ -z "${POSE3D_PYTHON:-}" ]; then
        local uv
        uv="$(command -v uv || true)"
        if [ -z "$uv" ] && _can_fetch_uv; then
            echo "No Python 3.9, 3.10 or 3.11 here: fetching uv $UV_VERSION into .uv, which brings Python 3.11 there (once)"
            _fetch_uv && uv="$UV_HOME/bin/uv"
        fi
        if [ -n "$uv" ]; then
            echo "Making .venv with $("$uv" --version)"
            if UV_PYTHON_INSTALL_DIR="$UV_HOME/python" UV_CACHE_DIR="$UV_HOME/cache" \
                "$uv" venv --quiet --seed --python 3.11 "$VENV"; then return; fi
            rm -rf "$VENV"
        fi
    fi
    echo "error: Python 3.9, 3.10 or 3.11 with its venv module is needed, because TensorFlow 2.15 and" \
        "tensorflow-addons 0.23 exist for no other, and uv could not bring one; install it (apt install python3.11 python3.11-venv, brew install" \
        "python@3.11, or https://docs.astral.sh/uv) and run this again" >&2
    exit 2
}

_is_locked() {
    [ -z "${POSE3D_UNLOCKED:-}" ] && [ -f "$ROOT/requirements.lock" ] && "$PYTHON" -c 'import platform, sys
sys.exit((sys.version_info[:2], platform.system(), platform.machine()) != ((3, 11), "Linux", "x86_64"))' 2>/dev/null
}

# The back end warns of every editable installation.
_pip_install() { PYTHONWARNINGS=ignore "$PYTHON" -m pip install --quiet --disable-pip-version-check "$@"; }

# _locked SECTION...: installs sections of requirements.lock; further arguments of pip in LOCKED_FLAGS.
_locked() {
    local section list
    list="$VENV/locked-$(IFS=- && echo "$*").txt"
    for section in "$@"; do
        sed -n "/^# \[$section\]/,/^\$/p" "$ROOT/requirements.lock"
    done >"$list"
    _pip_install --require-hashes ${LOCKED_FLAGS:-} -r "$list"
}

_install() {
    local extra="$1"
    if _is_locked; then
        # Without isolation, so that what builds the project is of the lock too.
        _locked base ${extra:+"$extra"} && _pip_install --no-deps --no-build-isolation -e "$ROOT"
    else
        echo "Not the tested platform (Linux, x86_64, Python 3.11): requirements.txt instead of requirements.lock"
        _pip_install -r "$ROOT/requirements.txt" && _pip_install -e "$ROOT${extra:+[$extra]}"
    fi
}

_check_opencv() {
    # opencv-python is linked against libGL, which slim containers lack; the headless build of the same release
    # provides the same module without it. The project opens no windows.
    local problem version
    if problem="$("$PYTHON" -c 'import cv2' 2>&1)"; then return; fi
    case "$problem" in
        *libGL* | *libgthread* | *libglib* | *libSM* | *libXext*) ;;
        *) echo "error: OpenCV does not load: $(echo "$problem" | tail -n 1)" >&2; exit 2 ;;
    esac
    version="$("$PYTHON" -m pip list --format=freeze 2>/dev/null | sed -n 's/^opencv-python==//p')"
    echo "A system library that OpenCV's windows need is missing ($(echo "$problem" | tail -n 1));" \
        "installing opencv-python-headless $version in its place"
    "$PYTHON" -m pip uninstall --quiet --yes opencv-python
    if _is_locked; then LOCKED_FLAGS=--no-deps _locked headless; else _pip_install "opencv-python-headless==$version"; fi
    "$PYTHON" -c 'import cv2' || { echo "error: OpenCV does not load; try: apt install libgl1 libglib2.0-0" >&2; exit 2; }
}

setup_environment() {
    local extra="${1:-}" wanted stamp
    wanted="$(cat "$ROOT"/requirements.* "$ROOT/setup.py" "$ROOT/pyproject.toml" "${BASH_SOURCE[0]}" | cksum)"
    stamp="$VENV/.installed-${extra:-base}"
    if [ -x "$PYTHON" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted $VENV" ]; then return; fi
    # An environment that was moved or whose Python is gone can't be repaired by installing into it.
    if [ -e "$VENV" ] && ! { _fits "$PYTHON" && grep -qsF "$VENV" "$VENV/bin/activate"; }; then rm -rf "$VENV"; fi
    [ -x "$PYTHON" ] || _make_venv
    echo "Installing the requirements into .venv (a minute or two, once)"
    # Two runs side by side: the second waits, then finds the work done by pip's own reckoning.
    (
        flock 9 2>/dev/null || true
        _install "$extra"
    ) 9>"$VENV/.lock" || {
        echo "error: pip could not install the requirements (its message stands above); where an index lacks the tested" \
            "versions, POSE3D_UNLOCKED=1 installs what requirements.txt allows" >&2
        exit 2
    }
    _check_opencv
    if _is_locked; then LOCKED_FLAGS=--no-deps _locked models; else _pip_install --no-deps "$MODELS_WHEEL"; fi ||
        echo "People in photographs will not be found: pip could not install $MODELS_WHEEL" \
            "(later: $PYTHON -m pip install --no-deps $MODELS_WHEEL)" >&2
    echo "$wanted $VENV" >"$stamp"
}

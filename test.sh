#!/usr/bin/env bash
# Makes the environment if need be, then runs the tests: ./test.sh [pytest arguments]
. "$(dirname "${BASH_SOURCE[0]}")/tools/setup_environment.sh"
setup_environment test
cd "$ROOT"
exec "$PYTHON" -m pytest "$@"

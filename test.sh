#!/usr/bin/env bash
# Makes the environment if need be, then runs the tests in two processes: ./test.sh [pytest arguments]
# (-n 0 runs them in one, which a debugger needs)
. "$(dirname "${BASH_SOURCE[0]}")/tools/setup_environment.sh"
setup_environment test
cd "$ROOT"
exec "$PYTHON" -m pytest -n 2 --dist loadfile "$@"

# Sourced by bin/runner and bin/test. Sets `python` to an interpreter of version 3.11 or later.
# `python3` comes first, so that whoever has chosen a Python gets that one.
find_python() {
    for python in python3 python3.13 python3.12 python3.11; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && return 0
    done
    echo "Strategy Runner needs Python 3.11 or later; none was found as python3, python3.13, python3.12 or python3.11." >&2
    return 1
}

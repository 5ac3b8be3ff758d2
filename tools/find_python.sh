#!/usr/bin/env bash
# Prints the Python that avatar-sdk's virtual environment is made with; says what to do when there is none.
set -euo pipefail
fits='import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))'
for candidate in ${PYTHON:-python3.11 python3.12 python3 python}; do
    if "$candidate" -c "$fits" 2>/dev/null; then
        echo "$candidate"
        exit 0
    fi
done
echo "no usable Python among: ${PYTHON:-python3.11 python3.12 python3 python}
avatar-sdk needs Python 3.11 or 3.12 with venv (on Debian and Ubuntu: apt install python3.11 python3.11-venv).
If it has another name, say: make PYTHON=/path/to/python3.11" >&2
exit 1

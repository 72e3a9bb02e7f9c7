#!/usr/bin/env bash
# Makes the local environment: tools/setup.sh VENV. Needs Python >= 3.11 and a C compiler; everything else comes from the pinned requirements.
set -euo pipefail

venv=$1
cd "$(dirname "$0")/.."
say() { printf '== %s\n' "$*"; }

python=
for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
  [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
  if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "raysail needs Python 3.11, 3.12 or 3.13 with the venv module (Debian: apt install python3-venv); none is on the PATH. Name one with PYTHON=..." >&2
  exit 1
fi
if ! command -v "${CC:-cc}" >/dev/null 2>&1; then
  echo "raysail's tests need a C compiler for the Pod network library (Debian: apt install gcc libc6-dev)" >&2
  exit 1
fi

export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy
if [ ! -x "$venv/bin/uv" ]; then
  say "environment: $venv with $("$python" --version)"
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
fi
say "pinned requirements (Ray among them: the first time takes a minute or two)"
"$venv/bin/uv" pip sync -q --compile-bytecode --python "$venv/bin/python" --require-hashes requirements/bootstrap.txt requirements/dev.txt
say "raysail itself"
"$venv/bin/uv" pip install -q --python "$venv/bin/python" --no-deps --no-build-isolation -e .
# Compiled here once: where PYTHONDONTWRITEBYTECODE is set every start would compile again.
"$venv/bin/python" -m compileall -q -j 0 src || true
say "ready"

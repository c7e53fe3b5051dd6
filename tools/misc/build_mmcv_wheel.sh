#!/usr/bin/env bash
# Build MMCV with its compiled operators, or take the wheel from the cache, and print the wheel's path.
#
# Usage: tools/misc/build_mmcv_wheel.sh PYTHON REQUIREMENT
#   PYTHON       interpreter of an environment with torch and requirements/build.txt
#   REQUIREMENT  for example mmcv==2.1.0 or onedl-mmcv==2.3.6
# Environment: XDG_CACHE_HOME, MAX_JOBS (compilers at once, all cores unless told).
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: $0 PYTHON REQUIREMENT" >&2
    exit 2
fi
python=$1
requirement=$2

# Compiled operators fit one Python, one torch build and one kind of machine only.
key=$("$python" -c 'import platform, sys, torch
print(f"{sys.implementation.cache_tag}-torch{torch.__version__}-{sys.platform}-{platform.machine()}")')
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mmdefusion/wheels/$key
name=${requirement%%==*}
pattern=${name//-/_}-${requirement##*==}-*.whl

find_wheel() {
    find "$1" -maxdepth 1 -name "$pattern" -print -quit
}

is_intact() {
    "$python" - "$1" <<'PY'
import sys, zipfile
try:
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        sys.exit(wheel.testzip() is not None or not any(n.startswith('mmcv/_ext') for n in wheel.namelist()))
except zipfile.BadZipFile:
    sys.exit(1)
PY
}

mkdir -p "$cache"
wheel=$(find_wheel "$cache")
if [ -n "$wheel" ] && is_intact "$wheel"; then
    echo "using the cached $wheel" >&2
    echo "$wheel"
    exit 0
fi

# In the cache's own folder, so that the finished wheel arrives by one atomic rename and never in part.
build=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$build"' EXIT
jobs=${MAX_JOBS:-$(getconf _NPROCESSORS_ONLN)}
echo "compiling $requirement with its operators, $jobs at once; this takes several minutes, once" >&2
# Python's own flags ask for debug information, which takes nearly half of the time.
export CFLAGS="${CFLAGS:-} -g0"
MMCV_WITH_OPS=1 MAX_JOBS=$jobs "$python" -m pip wheel --no-deps --no-build-isolation --wheel-dir "$build" \
    "$requirement" >&2
built=$(find_wheel "$build")
if [ -z "$built" ] || ! is_intact "$built"; then
    echo "building $requirement gave no wheel with compiled operators" >&2
    exit 1
fi
mv -f "$built" "$cache/"
find_wheel "$cache"

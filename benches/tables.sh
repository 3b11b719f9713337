#!/bin/sh
# Measures this machine and rewrites the tables of docs/benchmarks.md: sh benches/tables.sh [DEVICE...]
# The default devices are cpu and, if there is one, gpu. If python3 has PyTorch, the CPU's tables also have PyTorch's
# times. Takes about a quarter of an hour on two cores. Waits at most five minutes for an idle machine.
set -eu
cd "$(dirname "$0")/.."
page=docs/benchmarks.md
mark='<!-- The rest of this page is written by benches/tables.sh. -->'
grep -qxF "$mark" "$page" || { echo "$page lacks the line: $mark" >&2; exit 1; }

cargo build --release --workspace
prospr="${CARGO_TARGET_DIR:-target}/release/prospr"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
if [ $# = 0 ]; then
    set -- cpu
    if "$prospr" devices | grep '^gpu:0: ' >/dev/null; then set -- cpu gpu; fi
fi
torch=no
if python3 -c 'import torch' 2>/dev/null; then torch=yes; fi

# Succeeds if the machine is busy: medians would then measure the scheduler, most of all for threads that wait for each
# other.
busy() {
    [ -r /proc/loadavg ] || return 1
    awk '{ exit !($1 > 0.5) }' /proc/loadavg
}
waited=0
while busy; do
    if [ $waited -ge 300 ]; then
        echo "The load average is $(cut -d' ' -f1 /proc/loadavg) after five minutes, but must be below 0.5:" >&2
        echo "other programs are computing. Nothing was written; end them and try again." >&2
        exit 1
    fi
    sleep 10
    waited=$((waited + 10))
done

# Prints the table of one device; the arguments are those of `prospr bench`: WHAT --device DEVICE.
table() {
    echo
    echo "\`prospr bench $*\`"
    echo
    beside=""
    if [ "$torch" = yes ] && [ "$3" = cpu ]; then
        echo "PyTorch: $1" >&2
        python3 benches/pytorch.py "$1" >"$work/pytorch.json"
        sed -n 's/.*"device": "\(.*\)".*/Compared with \1./p' "$work/pytorch.json" | head -n 1
        echo
        beside="--beside $work/pytorch.json"
    fi
    echo "prospr bench $*" >&2
    # shellcheck disable=SC2086
    "$prospr" bench "$@" --markdown $beside
}

{
    sed "\\|^$mark\$|q" "$page"
    for device in "$@"; do
        echo
        echo "### \`$device\`"
        echo
        echo "Measured on $(date -u +%Y-%m-%d)."
        table kernels --device "$device"
        table train --device "$device"
        if [ "$device" != cpu ]; then
            # The first step compiles every kernel: Mesa's cache of compiled shaders is off.
            (export MESA_SHADER_CACHE_DISABLE=true; table train --device "$device" --batch 16)
        fi
        table meta --device "$device"
    done
} >"$work/page.md"
cp "$work/page.md" "$page"
echo "$page is new"

#!/bin/sh
# Compares all pruning methods on the embedded digits and rewrites the tables of docs/pruners.md: sh benches/pruners.sh
# Measures accuracies (two networks, five seeds, five sparsities, the sanity checks at one of them), norms of
# meta-gradients, and costs (scores of ResNet-18 on the CPU and, if there is one, on a GPU). Interrupted work under
# runs/pruners continues; delete that folder to start again.
# For other tables set NETWORKS, PRUNERS, SPARSITIES, CHECKED, SEEDS, EPOCHS, MODEL, BATCH (0: no costs), DEVICES (one
# or two), OUT or PAGE.
set -eu
cd "$(dirname "$0")/.."
seeds="${SEEDS:-0,1,2,3,4}"
sparsities="${SPARSITIES:-0.8,0.9,0.95,0.98,0.99}"
checked="${CHECKED:-0.95}"
networks="${NETWORKS:-lenet-5 lenet-300-100}"
model="${MODEL:-resnet-18}"
batch="${BATCH:-64}"
out="${OUT:-runs/pruners}"
page="${PAGE:-docs/pruners.md}"
mark='<!-- The rest of this page is written by benches/pruners.sh. -->'
grep -qxF "$mark" "$page" || { echo "$page lacks the line: $mark" >&2; exit 1; }

cargo build --release --workspace
prospr="${CARGO_TARGET_DIR:-target}/release/prospr"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
# Prints a comma and a name for each method of the program.
known() {
    "$prospr" bench prune --quick --model mlp:2 --batch 2 --repeats 1 --device cpu --json |
        sed -n 's/.*"name": "\(.*\) mlp:2".*/,\1/p' | tr -d '\n'
}
pruners="${PRUNERS:-dense$(known)}"
# Prints a learning rate and a number of epochs at which the dense network comes close to its best accuracy.
recipe() {
    case $1 in
    lenet-300-100) echo "--epochs ${EPOCHS:-6} --lr 0.1" ;;
    *) echo "--epochs ${EPOCHS:-6} --lr 0.01" ;;
    esac
}
devices="${DEVICES:-cpu$("$prospr" devices | sed -n 's/^gpu:0: .*/ gpu/p')}"

{
    sed "\\|^$mark\$|q" "$page"
    echo
    echo "Measured on $(date -u +%Y-%m-%d) by version $("$prospr" --version | cut -d' ' -f2)."
    for network in $networks; do
        name=$(printf %s "$network" | tr ':,' '--')
        echo
        echo "### \`$network\`"
        echo
        # shellcheck disable=SC2046
        set -- --model "$network" $(recipe "$network") --seeds "$seeds" --sparsities "$sparsities" \
            --checks shuffle,reinit,invert --check-sparsities "$checked" --pruners "$pruners"
        echo "\`prospr compare $*\`"
        echo
        echo "prospr compare $*" >&2
        "$prospr" compare "$@" --device cpu --resume --out "$out/$name" >/dev/null
        cat "$out/$name/comparison.md"
    done
    echo
    echo "### Meta-gradients"
    for network in $networks; do
        # Settings of the inner steps, one line per probe.
        while read -r flags; do
            echo
            echo "\`prospr probe --model $network $flags\`"
            echo
            echo '```text'
            # shellcheck disable=SC2086
            "$prospr" probe --model "$network" $flags --roundings --device cpu --quiet </dev/null
            echo '```'
        done <<'LIST'
--inner-lr 0.1
--inner-lr 0.01
--inner-lr 0.1 --inner-clip 1
--inner-lr 0.1 --inner-decay 0.5
LIST
    done
    if [ "$batch" != 0 ]; then
        echo
        echo "### Costs"
        echo
        # shellcheck disable=SC2086
        set -- $devices
        echo "prospr bench prune --model $model --batch $batch, on $*" >&2
        cost() {
            "$prospr" bench prune --model "$model" --batch "$batch" --repeats 2 --device "$@"
        }
        beside=""
        if [ $# = 2 ]; then
            cost "$1" --json >"$work/$1.json"
            beside="--beside $work/$1.json"
            shift
        fi
        echo "\`prospr bench prune --model $model --batch $batch --repeats 2 --device …\`, with $devices"
        echo
        # shellcheck disable=SC2086
        cost "$1" --markdown $beside
    fi
} >"$work/page.md"
cp "$work/page.md" "$page"
echo "$page is new"

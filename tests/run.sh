#!/bin/sh
# Runs all tests. On Linux it installs Mesa's Vulkan drivers if there is no Vulkan driver: without a GPU, GPU tests run
# on lavapipe and are never skipped.
set -eu
cd "$(dirname "$0")/.."

packages="mesa-vulkan-drivers libvulkan1"
has_vulkan() {
    found=${VK_DRIVER_FILES:-}
    for driver in /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json; do
        [ -e "$driver" ] && found=$driver
    done
    [ -n "$found" ] && PATH="$PATH:/sbin:/usr/sbin" ldconfig -p | grep -q 'libvulkan\.so\.1'
}
if [ "$(uname)" = Linux ] && ! has_vulkan; then
    as_root=""
    if [ "$(id -u)" != 0 ]; then
        as_root="sudo"
        sudo -n true 2>/dev/null || as_root="missing"
    fi
    if [ "$as_root" = missing ] || ! command -v apt-get >/dev/null; then
        echo "The tests need a Vulkan driver and there is none. Install Mesa's software driver, then try again:" >&2
        echo "  Debian, Ubuntu: sudo apt-get install $packages" >&2
        echo "  Fedora:         sudo dnf install mesa-vulkan-drivers vulkan-loader" >&2
        echo "  Arch:           sudo pacman -S vulkan-swrast vulkan-icd-loader" >&2
        exit 1
    fi
    echo "Installing $packages for the GPU tests"
    $as_root apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $packages
fi

# Drivers need a runtime directory; containers often have none.
if [ -z "${XDG_RUNTIME_DIR:-}" ]; then
    XDG_RUNTIME_DIR=$(mktemp -d)
    export XDG_RUNTIME_DIR
fi
# In CI, build outputs are stored outside of the checkout, so that the next run can reuse them.
if [ -n "${CI:-}" ] && [ -n "${HOME:-}" ]; then
    export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/prospr-target}"
fi

cargo test --workspace --no-run
# Shows the adapters of the tests. (`cargo run` would select other features and compile Burn again.)
cargo test --workspace --quiet --test system -- --nocapture --exact cli::devices_are_listed_with_the_choice
cargo test --workspace

# Sourced by the scripts that build: makes cargo use what this repository pins, whatever the user's shell has set.
# shellcheck shell=bash

# Any of these replaces what .cargo/config.toml says, and leaves programs that do not find libtorch when they start.
for variable in RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTDOCFLAGS CARGO_ENCODED_RUSTDOCFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_RUSTDOCFLAGS \
    CARGO_BUILD_TARGET CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR LIBTORCH LIBTORCH_LIB LIBTORCH_INCLUDE LIBTORCH_STATIC LIBTORCH_USE_PYTORCH \
    LIBTORCH_CXX11_ABI LIBTORCH_BYPASS_VERSION_CHECK; do
    if [[ -n ${!variable:-} ]]; then
        echo "note: $variable is set, and is ignored here" >&2
        unset "$variable"
    fi
done
# Programs are started by their path below this folder, also where cargo's settings name another.
export CARGO_TARGET_DIR=$PWD/target

command -v cargo >/dev/null || {
    echo "error: cargo was not found" >&2
    echo "hint: install Rust 1.95 or newer, see rustup.rs, or source ~/.cargo/env if it is installed" >&2
    exit 1
}

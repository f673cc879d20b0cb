#!/usr/bin/env bash
# Sets up, builds and runs the main job: `incept demo`, from rendered images to one report.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
    echo "usage: scripts/demo.sh [ARGUMENTS OF incept demo]"
    echo
    echo "Sets up .runtime/ (scripts/setup.sh), builds incept with libtorch, and runs \`incept demo\`, for example with --quick."
    exit 0
fi

./scripts/setup.sh
# shellcheck source=scripts/environment.sh
source scripts/environment.sh
echo "demo: building incept (a few minutes the first time)"
cargo build --locked --release --features torch
exec target/release/incept demo "$@"

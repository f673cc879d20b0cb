#!/usr/bin/env bash
# Everything that CI checks, in one command, cheapest first: sets up, then formatting, lints, documentation and tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in
    "") ;;
    --help | -h)
        echo "usage: scripts/test.sh"
        echo
        echo "Sets up .runtime/ (scripts/setup.sh), then checks formatting, lints, documentation and runs all tests, with and"
        echo "without features. Stops at the first step that fails, and prints what it said. The last line is DONE if all passed."
        exit 0
        ;;
    *) echo "error: unknown argument: $1" >&2; exit 2 ;;
esac

./scripts/setup.sh
# shellcheck source=scripts/environment.sh
source scripts/environment.sh
for tool in fmt clippy; do
    cargo "$tool" --version >/dev/null 2>&1 || {
        echo "error: cargo $tool was not found" >&2
        echo "hint: rustup component add rustfmt clippy" >&2
        exit 1
    }
done

mkdir -p target/test-logs
summary=()
number=0
total_passed=0
total_ignored=0

# Runs one step: a line when it starts, a line with its time and what it found; its output only where it failed.
step() {
    local title=$1 log started=$SECONDS passed ignored found=
    shift
    number=$((number + 1))
    log=target/test-logs/$number.log
    echo "[$number] $title"
    if ! "$@" >"$log" 2>&1; then
        cat "$log"
        echo "[$number] FAILED after $((SECONDS - started)) s: $*" >&2
        exit 1
    fi
    if grep -q '^test result: ' "$log"; then
        passed=$(awk '/^test result: / { n += $4 } END { print n + 0 }' "$log")
        ignored=$(awk '/^test result: / { n += $8 } END { print n + 0 }' "$log")
        total_passed=$((total_passed + passed))
        total_ignored=$((total_ignored + ignored))
        found="$passed tests passed"
        [[ $ignored == 0 ]] || found+=", $ignored ignored"
        found+=", "
    fi
    summary+=("$(printf '  %-58s %s%d s' "$title" "$found" $((SECONDS - started)))")
    echo "    ok, $found$((SECONDS - started)) s"
}

if command -v shellcheck >/dev/null; then
    step "shell scripts" shellcheck --external-sources scripts/*.sh .ci/run
fi
step "Python scripts compile" "$PWD/.runtime/python/bin/python" -c 'import ast, sys; [ast.parse(open(path).read(), path) for path in sys.argv[1:]]' \
    scripts/*.py scripts/*/*.py golden/*.py
step "formatting" cargo fmt --all --check
step "dependencies are fetched" cargo fetch --locked
step "lints, no features" cargo clippy --locked --release --workspace --all-targets -- -D warnings
step "lints, all features" cargo clippy --locked --release --workspace --all-targets --all-features -- -D warnings
step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --release --workspace --all-features --no-deps
step "tests, no features: nothing native is linked" cargo test --locked --release --workspace
step "tests, all features" cargo test --locked --release --package incept --all-features

echo
printf '%s\n' "${summary[@]}"
printf '  %-58s %d min %d s\n' "in all" $((SECONDS / 60)) $((SECONDS % 60))
echo "$total_passed passed, 0 failed, $total_ignored skipped"
echo "DONE"

#!/usr/bin/env bash
# Fetches the native libraries that incept uses into .runtime/, from pinned and hashed wheels. Run it as often as you like.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'TEXT'
usage: scripts/setup.sh [--without-torch] [--openvino] [--web] [--keep-downloads]

Fetches into .runtime/ (which git ignores):
  onnxruntime/   ONNX Runtime 1.31.1, the shared library
  torch/         libtorch 2.11.0 for the CPU, libraries and headers, for the feature `torch`
  nvidia/        two CUDA libraries that libtorch links to even where there is no GPU
  openvino/      OpenVINO 2026.4.1 for the CPU, for the feature `openvino`; only with --openvino
  web/           ONNX Runtime Web 1.30.0, for the runtime `web`; only with --web
  python/        a virtual environment with onnx and numpy, which the tests use

Nothing is installed outside .runtime/; delete that folder to undo it. What is already there is left alone.
Every file is pinned by version and SHA-256 in scripts/native-libraries.txt and scripts/requirements.txt.

  --without-torch    leave out torch/ and nvidia/: everything but training and the float64 reference works
  --openvino         fetch OpenVINO too: 58 MB to download, 95 MB on disk
  --web              fetch ONNX Runtime Web too, with npm: 20 MB to download, 150 MB on disk
  --keep-downloads   keep the wheels in .runtime/downloads instead of deleting each after unpacking it
  --help             print this
TEXT
}

with_torch=yes
with_openvino=no
with_web=no
keep_downloads=no
for argument in "$@"; do
    case "$argument" in
        --without-torch) with_torch=no ;;
        --openvino) with_openvino=yes ;;
        --web) with_web=yes ;;
        --keep-downloads) keep_downloads=yes ;;
        --help | -h) usage; exit 0 ;;
        *) echo "error: unknown argument: $argument" >&2; usage >&2; exit 2 ;;
    esac
done

runtime=.runtime
pins=scripts/native-libraries.txt
requirements=scripts/requirements.txt
# Raise it when the files taken out of the wheels change, so that existing folders are made anew.
layout=1

fail() {
    echo "error: $1" >&2
    shift
    for hint in "$@"; do echo "hint: $hint" >&2; done
    exit 1
}

# --- What is missing -------------------------------------------------------------------------------------------------

# The line of the pin file that states version and hash of a package.
pin() { grep "^$1==" "$pins"; }

# What a folder must have been made from: a folder whose stamp says anything else is made anew.
stamp_of() {
    echo "layout $layout"
    case "$1" in
        onnxruntime) pin onnxruntime ;;
        torch) pin torch ;;
        openvino) pin openvino ;;
        web) cat scripts/web/package-lock.json ;;
        nvidia) pin nvidia-cuda-runtime; pin nvidia-cuda-cupti ;;
        python) cat "$requirements" ;;
    esac
}

# Whether a folder is there, whole and made from the pinned versions: the stamp is written last.
present() {
    [[ -f $runtime/$1/stamp && "$(<"$runtime/$1/stamp")" == "$(stamp_of "$1")" ]] || return 1
    [[ $1 != python ]] || "$runtime/python/bin/python" -c '' 2>/dev/null
}

folders=(onnxruntime python)
[[ $with_torch == no ]] || folders+=(nvidia torch)
[[ $with_openvino == no ]] || folders+=(openvino)
[[ $with_web == no ]] || folders+=(web)

declare -A description=(
    [onnxruntime]="ONNX Runtime 1.31.1          download  24 MB, on disk  30 MB"
    [python]="Python packages for tests    download  35 MB, on disk 150 MB"
    [nvidia]="two libraries of CUDA 13.0   download  13 MB, on disk   5 MB"
    [torch]="libtorch 2.11.0 for the CPU  download 531 MB, on disk 500 MB"
    [openvino]="OpenVINO 2026.4.1 (CPU)      download  58 MB, on disk  95 MB"
    [web]="ONNX Runtime Web 1.30.0      download  20 MB, on disk 150 MB"
)
# In MB, the most that is on disk at once while a folder is made: pip holds a wheel twice for a moment.
declare -A room=([onnxruntime]=80 [python]=250 [nvidia]=40 [torch]=1150 [openvino]=220 [web]=250)

missing=()
list_missing() {
    missing=()
    local folder
    for folder in "${folders[@]}"; do
        present "$folder" || missing+=("$folder")
    done
}
list_missing
if [[ ${#missing[@]} -eq 0 ]]; then
    echo "setup: all present in $runtime: ${folders[*]}"
    exit 0
fi

# --- What the machine must have --------------------------------------------------------------------------------------

[[ "$(uname -s) $(uname -m)" == "Linux x86_64" ]] || fail "the pinned libraries are for x86_64 Linux, this is $(uname -s) $(uname -m)"
glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d ' ' -f 2 || true)
if [[ -z $glibc || "$(printf '%s\n' 2.28 "$glibc" | sort -V | head -n 1)" != 2.28 ]]; then
    fail "the pinned libraries need glibc 2.28 or newer, found ${glibc:-another C library}"
fi

absent=()
command -v cargo >/dev/null || absent+=("cargo: install Rust 1.95 or newer, see rustup.rs, or source ~/.cargo/env if it is installed")
command -v cc >/dev/null || absent+=("cc, which cargo links with: apt-get install gcc")
if [[ $with_torch == yes ]] && ! command -v c++ >/dev/null; then
    absent+=("c++, which compiles the binding to libtorch: apt-get install g++ (or pass --without-torch)")
fi
if [[ $with_web == yes ]]; then
    command -v npm >/dev/null || absent+=("npm, which fetches ONNX Runtime Web: apt-get install nodejs npm (or leave out --web)")
    command -v chromium chromium-browser google-chrome >/dev/null ||
        absent+=("Chromium, which runs ONNX Runtime Web: apt-get install chromium (or leave out --web)")
fi

python=
for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
pip=()
if [[ -z $python ]]; then
    absent+=("Python 3.11 to 3.14: apt-get install python3 python3-pip")
elif "$python" -m pip --version >/dev/null 2>&1; then
    pip=("$python" -m pip)
elif "$python" -c 'import ensurepip' 2>/dev/null; then
    # There is no pip, but a virtual environment can bring its own.
    pip=("$runtime/pip/bin/python" -m pip)
else
    absent+=("pip: apt-get install python3-pip (python3-venv will do too)")
fi
if [[ ${#absent[@]} -gt 0 ]]; then
    for line in "${absent[@]}"; do echo "error: not found: $line" >&2; done
    exit 1
fi

# --- Say it before doing it ------------------------------------------------------------------------------------------

needed=0
for folder in "${missing[@]}"; do
    [[ ${room[$folder]} -le $needed ]] || needed=${room[$folder]}
done
needed=$((needed + 250))
mkdir -p "$runtime"
free=$(df --output=avail -m "$runtime" | tail -n 1 | tr -d ' ')
echo "setup: fetching from the Python package index into $runtime:"
for folder in "${missing[@]}"; do echo "  ${description[$folder]}"; done
echo "  needs up to $needed MB of disk while it works; $free MB are free"
[[ $free -ge $needed ]] || fail "not enough disk space in $(pwd)/$runtime: $needed MB needed, $free MB free" \
    "free some space, make $runtime a link to a larger disk, or pass --without-torch"

# One setup at a time. Whoever waited finds the work done.
exec 9>"$runtime/lock"
if ! flock --nonblock 9; then
    echo "setup: waiting for another setup to finish"
    flock 9
    list_missing
fi

downloads=$runtime/downloads
# What an interrupted run has left. Whole wheels stay in downloads/ and are used again.
remove_leftovers() { rm -rf "$runtime/unpacking" "$downloads/temporary"; }
remove_leftovers
trap remove_leftovers EXIT
mkdir -p "$downloads/temporary"
# pip unpacks and moves large files through its temporary folder: /tmp is often small, and on another disk.
TMPDIR=$(pwd)/$downloads/temporary
export TMPDIR PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
quiet=(--quiet)
[[ ! -t 1 ]] || quiet=()

if [[ ${pip[0]} == "$runtime/pip/bin/python" ]] && ! "${pip[@]}" --version >/dev/null 2>&1; then
    "$python" -m venv --clear "$runtime/pip"
fi

# --- Fetch and unpack ------------------------------------------------------------------------------------------------

# Leaves the path of a package's wheel in `wheel`, downloading it unless the right file is already there.
fetch() {
    local name=$1 line hash version
    line=$(pin "$name")
    hash=${line##*sha256:}
    version=${line#*==}
    version=${version%% *}
    find_wheel() {
        wheel=$(compgen -G "$downloads/${name//-/_}-$version-*.whl" | head -n 1 || true)
        [[ -n $wheel ]] && echo "$hash  $wheel" | sha256sum --check --status
    }
    if ! find_wheel; then
        echo "$line" >"$downloads/temporary/$name.txt"
        "${pip[@]}" download "${quiet[@]}" --no-deps --no-cache-dir --require-hashes --only-binary=:all: \
            --implementation cp --python-version 3.12 --abi cp312 --platform manylinux_2_28_x86_64 \
            --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux2014_x86_64 \
            --dest "$downloads" --requirement "$downloads/temporary/$name.txt" ||
            fail "could not download $name $version" \
                "see pip's message above; if it is the connection, run this again: what is already fetched is kept" \
                "pip's settings for proxies and mirrors are honoured"
        find_wheel || fail "the wheel of $name $version does not have the pinned hash $hash"
    fi
}

# Makes one folder: unpacked beside its place, stamped, synced and renamed, so that it is whole or not there.
install() {
    local folder=$1 unpacking=$runtime/unpacking wheel wheels=()
    rm -rf "$unpacking"
    mkdir -p "$unpacking/$folder"
    case "$folder" in
        onnxruntime)
            fetch onnxruntime
            wheels+=("$wheel")
            "$python" scripts/unpack.py "$wheel" "$unpacking/wheel" 'onnxruntime/capi/libonnxruntime*.so*' \
                onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt
            mv "$unpacking"/wheel/onnxruntime/capi/* "$unpacking"/wheel/onnxruntime/[LT]* "$unpacking/$folder/"
            ln -s libonnxruntime.so.1.31.1 "$unpacking/$folder/libonnxruntime.so"
            ;;
        nvidia)
            fetch nvidia-cuda-runtime
            wheels+=("$wheel")
            "$python" scripts/unpack.py "$wheel" "$unpacking" nvidia/cu13/lib/libcudart.so.13 '*/License.txt'
            fetch nvidia-cuda-cupti
            wheels+=("$wheel")
            "$python" scripts/unpack.py "$wheel" "$unpacking" nvidia/cu13/lib/libcupti.so.13
            mv "$unpacking"/*/licenses/License.txt "$unpacking/$folder/"
            ;;
        torch)
            fetch torch
            wheels+=("$wheel")
            # Without the libraries for CUDA and for Python. A program that is linked to libtorch.so gets the CPU library.
            "$python" scripts/unpack.py "$wheel" "$unpacking" torch/lib/libc10.so torch/lib/libtorch_cpu.so \
                torch/lib/libgomp.so.1 'torch/include/*' '*/licenses/LICENSE' '*/licenses/NOTICE'
            mv "$unpacking"/torch-*/licenses/* "$unpacking/$folder/"
            ln -s libtorch_cpu.so "$unpacking/$folder/lib/libtorch.so"
            # Where the binding to libtorch looks for the version.
            echo 2.11.0 >"$unpacking/$folder/build-version"
            ;;
        openvino)
            fetch openvino
            wheels+=("$wheel")
            # The C interface, the plugin for the CPU, the reader of ONNX files, and the threads they use.
            "$python" scripts/unpack.py "$wheel" "$unpacking/wheel" 'openvino/libs/libopenvino.so.*' \
                'openvino/libs/libopenvino_c.so.*' openvino/libs/libopenvino_intel_cpu_plugin.so \
                'openvino/libs/libopenvino_onnx_frontend.so.*' 'openvino/libs/libtbb*.so.*' 'openvino/libs/libhwloc.so.*' \
                '*/licenses/LICENSE' '*/licenses/licensing/*'
            mv "$unpacking"/wheel/openvino/libs/* "$unpacking"/wheel/openvino-*/licenses/* "$unpacking/$folder/"
            ln -s libopenvino_c.so.2641 "$unpacking/$folder/libopenvino_c.so"
            ;;
        web)
            # Pinned and hashed in its lock file. Nothing that a package brings is run.
            cp scripts/web/package.json scripts/web/package-lock.json scripts/web/.npmrc "$unpacking/$folder/"
            npm ci --prefix "$unpacking/$folder" --ignore-scripts "${quiet[@]}" ||
                fail "could not install what scripts/web/package-lock.json lists" \
                    "run this again when the connection is back; npm's settings for proxies and registries are honoured"
            ;;
        python)
            # In its place, as an environment holds its own path. Not through its own pip, which Debian packs separately.
            rm -rf "${runtime:?}/python"
            "$python" -m venv --without-pip "$runtime/python"
            "${pip[@]}" --python "$runtime/python/bin/python" install "${quiet[@]}" --no-cache-dir --no-deps \
                --require-hashes --only-binary=:all: --requirement "$requirements" ||
                fail "could not install the Python packages that the tests use" \
                    "run this again when the connection is back; an old pip needs: $python -m pip install --upgrade pip"
            stamp_of python >"$runtime/python/stamp"
            return
            ;;
    esac
    stamp_of "$folder" >"$unpacking/$folder/stamp"
    sync --file-system "$unpacking"
    rm -rf "${runtime:?}/$folder"
    mv "$unpacking/$folder" "$runtime/$folder"
    rm -rf "$unpacking"
    [[ $keep_downloads == yes ]] || rm -f "${wheels[@]}"
}

for folder in "${missing[@]}"; do
    started=$SECONDS
    echo "setup: $folder"
    install "$folder"
    echo "setup: $folder is ready ($((SECONDS - started)) s)"
done
remove_leftovers
[[ $keep_downloads == yes ]] || rmdir --ignore-fail-on-non-empty "$downloads"
echo "setup: all present in $runtime: ${folders[*]}"

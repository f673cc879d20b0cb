#!/usr/bin/env bash
# Makes .runtime/reference: PyTorch, TensorFlow, Keras and the libraries that have these networks, to make golden vectors again and to run
# the proof (scripts/proof/published.py) and the benchmarks.
# Neither building nor testing incept needs it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

requirements=scripts/requirements-reference.txt
from_source=scripts/requirements-reference-source.txt
folder=.runtime/reference
case "${1:-}" in
    "") ;;
    --help | -h)
        echo "usage: scripts/reference-environment.sh"
        echo
        echo "Makes $folder, a virtual environment with what $requirements and"
        echo "$from_source list, pinned and hashed: PyTorch 2.11.0, timm, torchvision,"
        echo "facenet-pytorch, pretrainedmodels, TensorFlow 2.21.0, Keras 3 and 2, TF-slim, onnx and onnxruntime."
        echo "Downloads 2.6 GB, takes 5.3 GB on disk. Needs Python 3.11 to 3.13 with pip."
        exit 0
        ;;
    *) echo "error: unknown argument: $1" >&2; exit 2 ;;
esac

if [[ -f $folder/stamp ]] && cat "$requirements" "$from_source" | cmp --silent "$folder/stamp" - && "$folder/bin/python" -c '' 2>/dev/null; then
    echo "reference: present in $folder"
    exit 0
fi

python=
for candidate in python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import pip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [[ -z $python ]]; then
    echo "error: not found: Python 3.11 to 3.13 with pip" >&2
    echo "hint: apt-get install python3 python3-pip" >&2
    exit 1
fi
mkdir -p "$folder"
free=$(df --output=avail -m "$folder" | tail -n 1 | tr -d ' ')
echo "reference: fetching PyTorch, TensorFlow and others from the Python package index into $folder: download 2.6 GB, on disk 5.3 GB"
if [[ $free -lt 8500 ]]; then
    echo "error: not enough disk space in $(pwd)/$folder: 8500 MB needed while it works, $free MB free" >&2
    exit 1
fi

rm -rf "${folder:?}"
"$python" -m venv --without-pip "$folder"
mkdir "$folder/temporary"
quiet=(--quiet)
[[ ! -t 1 ]] || quiet=()
install() { # A list of requirements, then how pip is to treat it.
    local list=$1
    shift
    # pip's temporary files on the same disk: /tmp is often small.
    TMPDIR=$(pwd)/$folder/temporary "$python" -m pip --disable-pip-version-check --python "$folder/bin/python" install "${quiet[@]}" \
        --no-cache-dir --no-deps --require-hashes --requirement "$list" "$@" || {
        echo "error: could not install what $list lists" >&2
        echo "hint: run this again when the connection is back" >&2
        exit 1
    }
}
install "$requirements" --only-binary=:all:
install "$from_source" --no-binary=:all: --no-build-isolation
rm -rf "$folder/temporary"
# The CUDA libraries that were left out must not be missed.
"$folder/bin/python" -c 'import facenet_pytorch, onnx, onnxruntime, pretrainedmodels, timm, torch, torchvision'
TF_CPP_MIN_LOG_LEVEL=3 "$folder/bin/python" -c 'import h5py, keras, tensorflow, tf_keras, tf_slim.nets'
cat "$requirements" "$from_source" >"$folder/stamp"
echo "reference: ready in $folder"

"""Takes chosen files out of a wheel, without installing it and without unpacking the rest.

    unpack.py WHEEL FOLDER PATTERN...

A pattern is a shell pattern over the names inside the wheel, in which `*` also crosses folders. Names keep their folders
under FOLDER. A pattern that matches nothing is an error: it means that the wheel is not the one this was written for.
Standard library only.
"""

import fnmatch
import os
import shutil
import sys
import zipfile


def unpack(wheel: str, folder: str, patterns: list[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for pattern in patterns:
            matches = [
                member
                for member in archive.infolist()
                if not member.is_dir() and fnmatch.fnmatchcase(member.filename, pattern)
            ]
            if not matches:
                raise SystemExit(f"error: {wheel} holds nothing named {pattern}")
            for member in matches:
                path = os.path.normpath(os.path.join(folder, member.filename))
                if not path.startswith(os.path.normpath(folder) + os.sep):
                    raise SystemExit(f"error: {wheel} holds {member.filename}, which leads out of the folder")
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with archive.open(member) as source, open(path, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    unpack(sys.argv[1], sys.argv[2], sys.argv[3:])

"""Everything in a host's file system, as seen from the host itself: run there by `python3 -`, prints JSON.

One line a path: type, mode, owner, times of the last change, where a link leads, hash of a file's content.
"""

import contextlib
import hashlib
import json
import os
import stat
import sys

EXCLUDED = set(sys.argv[1:])
found = {}


def describe(path):
    state = os.lstat(path)
    entry = [stat.filemode(state.st_mode), state.st_uid, state.st_gid, state.st_mtime_ns, state.st_ctime_ns]
    if stat.S_ISLNK(state.st_mode):
        entry.append(os.readlink(path))
    elif stat.S_ISREG(state.st_mode):
        with open(path, "rb") as stream:
            entry.append(hashlib.sha256(stream.read()).hexdigest())
    return entry


for directory, directories, names in os.walk("/"):
    directories[:] = [name for name in directories if os.path.join(directory, name) not in EXCLUDED]
    for path in [os.path.join(directory, name) for name in (".", *directories, *names)]:
        path = os.path.normpath(path)
        if path not in EXCLUDED and path not in found:
            with contextlib.suppress(FileNotFoundError):  # a process's own temporary file
                found[path] = describe(path)
json.dump(found, sys.stdout)

"""Starts one program after the other and measures each with its children, as the kernel accounts for them.

Reads a line of JSON for each: {"argv": [...], "env": {...}, "evict": [paths]}. The files to evict leave the page
cache before. Writes a line of JSON: status, startedAt (ms since the epoch), wall, user and system time (ms), peak
(KiB, of the largest process), read and written (bytes, to and from block devices), stderr (its last 2,000 bytes).
"""

import json
import os
import sys
import tempfile
import time

for line in sys.stdin:
    order = json.loads(line)
    for path in order["evict"]:
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)
    with tempfile.TemporaryFile(dir="/dev/shm") as errors:
        files = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, errors.fileno(), 2),
        ]
        argv = order["argv"]
        started_at = time.time()
        begin = time.perf_counter()
        process = os.posix_spawn(argv[0], argv, order["env"], file_actions=files)
        _, status, usage = os.wait4(process, 0)
        wall = time.perf_counter() - begin
        errors.seek(max(0, errors.seek(0, 2) - 2000))
        said = errors.read().decode(errors="replace")
    print(
        json.dumps(
            {
                "status": os.waitstatus_to_exitcode(status),
                "startedAt": started_at * 1000,
                "wall": wall * 1000,
                "user": usage.ru_utime * 1000,
                "system": usage.ru_stime * 1000,
                "peak": usage.ru_maxrss,
                "read": usage.ru_inblock * 512,
                "written": usage.ru_oublock * 512,
                "stderr": said,
            }
        ),
        flush=True,
    )

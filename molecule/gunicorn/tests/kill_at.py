"""Kill the activation of an app, as the kernel would, the moment it begins a step; exit 0 once it is dead."""

import json
import os
import signal
import sys
import time

path, step = sys.argv[1], sys.argv[2]
begun = time.time()
while time.time() - begun < 60:
    try:
        if os.stat(path).st_mtime > begun - 1:
            with open(path) as stream:
                lines = [json.loads(line) for line in stream if line.endswith("}\n")]
            if lines and lines[-1].get("phase") == step:
                os.kill(lines[0]["pid"], signal.SIGKILL)
                sys.exit(0)
    except FileNotFoundError:
        pass
    time.sleep(0.0005)
sys.exit("the step was never seen")

"""The collection is imported by Ansible's own loader, as in a run. It has to be there before the first import."""

import os
from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()
# For Python programs that tests start: they have no such loader.
os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1] / ".collections")

"""How tests start the command and the plugin in a process of their own, from any folder."""

import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

import conformance

ROOT: Final = str(Path(conformance.__file__).parents[1])
"""The folder from which the package under test is imported."""

ENVIRON: Final = {
    **{
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "SSE_CONFORMANCE"))
    },
    "PYTHONPATH": os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")])),
    "PYTHONIOENCODING": "utf-8",
}

COMMAND: Final = (sys.executable, "-m", "conformance")

PLUGIN: Final = (
    () if entry_points(group="pytest11", name="sse-conformance") else ("-p", "conformance.pytest_plugin")
)
"""What loads the plugin where the package is not installed."""

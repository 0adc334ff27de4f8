"""Where the server's command runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

_SERVER = """
import http.server, sys

class Stream(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"data: 1\\n\\n")

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Stream).serve_forever()
"""


def test_the_command_runs_in_the_folder_of_its_configuration(tmp_path: Path) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    (project / "server.py").write_text(_SERVER)
    command = json.dumps([sys.executable, "server.py", "{port}"])
    (project / "sse-conformance.toml").write_text(
        f"[target]\ncommand = {command}\n[target.stream]\npath = '/'\n"
    )
    config = str(project / "sse-conformance.toml")
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "conformance",
            "run",
            "--config",
            config,
            "-s",
            "subscribe",
            "-r",
            "http.status",
        ],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 pass" in ran.stdout

"""Two streams as blog posts write them in Flask: a generator, the right media type, and nothing else."""

import json
import time
from collections.abc import Iterator

from flask import Flask, Response

app = Flask(__name__)


@app.route("/progress")
def progress() -> Response:
    def generate() -> Iterator[str]:
        for percent in range(0, 101, 10):
            yield f"data: {json.dumps({'percent': percent})}\n\n"
            time.sleep(0.1)

    return Response(generate(), mimetype="text/event-stream")


@app.route("/clock")
def clock() -> Response:
    def generate() -> Iterator[str]:
        while True:
            yield f"data: {time.strftime('%H:%M:%S')}\n\n"
            time.sleep(1)

    return Response(generate(), mimetype="text/event-stream")

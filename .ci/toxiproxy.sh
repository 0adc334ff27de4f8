#!/bin/bash
# Runs a command beside a real Toxiproxy:   .ci/toxiproxy.sh GOBIN COMMAND [ARGUMENT...]
#
# Builds the server into the directory GOBIN unless it is there already, starts it on TOXIPROXY_PORT (default: a free
# loopback port), runs the command with TOXIPROXY_URL set, stops the server and exits as the command did.
# Needs go and python3 (or PYTHON).
set -euo pipefail

version=2.12.0
module=github.com/Shopify/toxiproxy/v2
python=${PYTHON:-python3}

if (($# < 2)); then
    echo "usage: $0 GOBIN COMMAND [ARGUMENT...]" >&2
    exit 2
fi
mkdir -p "$1"
bin=$(cd "$1" && pwd)
shift

server=$bin/toxiproxy-server-$version
if [[ ! -x $server ]]; then
    # The module's sum is checked by go itself. Without -X the server would call its version "git".
    GOBIN=$bin go install -trimpath -ldflags "-X $module.Version=$version" \
        "$module/cmd/server@v$version"
    mv "$bin/server" "$server"
fi

port=${TOXIPROXY_PORT:-$("$python" -c '
import socket
with socket.create_server(("127.0.0.1", 0)) as taken:
    print(taken.getsockname()[1])')}
export TOXIPROXY_URL=http://127.0.0.1:$port

log=$(mktemp)
LOG_LEVEL=warn "$server" -host 127.0.0.1 -port "$port" >"$log" 2>&1 &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A server that cannot have the port says so and lives on: its log tells, not its process.
if ! "$python" - "$TOXIPROXY_URL/version" "$version" "$log" <<'WAIT'
import json, pathlib, sys, time, urllib.request

url, version, log = sys.argv[1:]
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
answer = None
for _ in range(200):
    if "finished with error" in pathlib.Path(log).read_text():
        break
    try:
        with direct.open(url, timeout=1) as response:
            answer = json.load(response)["version"]
        break
    except OSError:
        time.sleep(0.05)
if answer != version:
    sys.exit(f"Toxiproxy {version} did not come up at {url} (answer: {answer})")
WAIT
then
    cat "$log" >&2
    exit 1
fi

status=0
"$@" || status=$?
exit "$status"

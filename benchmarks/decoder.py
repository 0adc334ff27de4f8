"""How fast the decoder is, beside three clients' decoders on the same bytes, and that it is linear.

Run from the checkout: `python -m benchmarks.decoder`. Prints Markdown.

Every peer is fed the same chunks through its public interface, in memory: httpx-sse as an `EventSource` over
an `httpx.Response`, sseclient-py as an `SSEClient` over an iterable of chunks, requests-sse as an `EventSource`
over a session whose transport adapter answers with these chunks. What is measured is processor time from the
first chunk to the last event. The rounds are interleaved, so that what else the machine does hits all alike,
and the median counts. Each run follows one of the same decoder that does not count: the processor's caches and
the C library's memory are then as the decoder's own runs leave them, not as those of the one before.
"""

import gc
import importlib.metadata
import os
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import httpx
import requests
import requests_sse
import sseclient
from httpx_sse import EventSource
from requests.adapters import BaseAdapter

from conformance.wire import Decoder

ROUNDS = 7
TOKEN = (
    '{"id":"cmpl-1","object":"completion.chunk","choices":'
    '[{"index":0,"delta":{"content":" hello"},"finish_reason":null}]}'
)
ACCENTED = TOKEN.replace("hello", "héllo, wörld: 你好 😀")


class Chunks(Iterator[bytes]):
    """A body that is an iterator of chunks, as sseclient-py and urllib3's readers want it."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = iter(chunks)

    def __next__(self) -> bytes:
        return next(self.chunks)

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        return self.chunks

    def close(self) -> None:
        pass

    release_conn = close


class HttpxBody(httpx.SyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)


class Adapter(BaseAdapter):
    """Answers a request of requests with chunks, without a network."""

    def __init__(self, chunks: list[bytes]) -> None:
        super().__init__()
        self.chunks = chunks

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: object = None,
        verify: bool | str = True,
        cert: object = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        response = requests.Response()
        response.status_code = 200
        response.headers["Content-Type"] = "text/event-stream"
        response.url = request.url or ""
        response.request = request
        response.raw = Chunks(self.chunks)
        return response

    def close(self) -> None:
        pass


def ours(chunks: list[bytes], _: int) -> int:
    decoder = Decoder(limit=2**30)
    count = 0
    for chunk in chunks:
        for _item in decoder.feed(chunk):
            count += 1
    decoder.close()
    return count


def httpx_sse(chunks: list[bytes], _: int) -> int:
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=HttpxBody(chunks))
    return sum(1 for event in EventSource(response).iter_sse())


def sseclient_py(chunks: list[bytes], _: int) -> int:
    return sum(1 for event in sseclient.SSEClient(Chunks(chunks)).events())


def requests_sse_(chunks: list[bytes], events: int) -> int:
    """Stops at the last event, known in advance: at the end of the stream it would sleep and reconnect."""
    with requests.Session() as session:
        session.mount("http://", Adapter(chunks))
        with requests_sse.EventSource("http://benchmark/", session=session) as source:
            count = 0
            for _ in source:
                count += 1
                if count == events:
                    break
    return count


PEERS: dict[str, Callable[[list[bytes], int], int]] = {
    "this decoder": ours,
    "httpx-sse": httpx_sse,
    "sseclient-py": sseclient_py,
    "requests-sse": requests_sse_,
}


class Workload(NamedTuple):
    name: str
    chunks: list[bytes]
    events: int
    comments: int = 0
    """Which only this decoder gives; the others drop them."""
    smaller: list[bytes] | None = None
    """For peers that are quadratic on it: the same with fewer bytes."""


def pieces(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def workloads() -> list[Workload]:
    def events(count: int, *lines: str, ending: str = "\n") -> list[bytes]:
        return [
            "".join(
                line.format(n=n, token=TOKEN, accented=ACCENTED) + ending for line in [*lines, ""]
            ).encode()
            for n in range(count)
        ]

    count = 10_000
    plain = events(count, "data: {token}")
    crlf = events(count, "data: {token}", ending="\r\n")
    accented = events(count, "data: {accented}")
    full = events(count, "id: {n}", "event: delta", "data: {token}")
    short = events(4 * count, "data: {n}")
    long = b"data: " + b"x" * 2**22 + b"\n\n"
    return [
        Workload("one event a chunk, LF", plain, count),
        Workload("one event a chunk, CRLF", crlf, count),
        Workload("one event a chunk, not ASCII", accented, count),
        Workload("one event a chunk, with id and event", full, count),
        Workload("4 KiB chunks, LF", pieces(b"".join(plain), 4096), count),
        Workload("4 KiB chunks, CRLF", pieces(b"".join(crlf), 4096), count),
        Workload("4 KiB chunks, not ASCII", pieces(b"".join(accented), 4096), count),
        Workload("4 KiB chunks, with id and event", pieces(b"".join(full), 4096), count),
        Workload("64 KiB chunks, LF", pieces(b"".join(plain), 65536), count),
        Workload("64 KiB chunks, with id and event", pieces(b"".join(full), 65536), count),
        Workload("4 KiB chunks, events of a few bytes", pieces(b"".join(short), 4096), 4 * count),
        Workload(
            "one line of 4 MiB in 4 KiB chunks", pieces(long, 4096), 1, 0, pieces(long[-(2**19) :], 4096)
        ),
        Workload("one comment a chunk", [*[b": heartbeat\n\n"] * count, *plain[:1]], 1, count),
    ]


def measure(workload: Workload) -> dict[str, tuple[float, int, int]]:
    """For each decoder: median seconds, events and comments that were fed, bytes."""
    times: dict[str, list[float]] = {name: [] for name in PEERS}
    fed: dict[str, tuple[int, int]] = {}
    for _ in range(ROUNDS):
        for name, decode in PEERS.items():
            chunks = workload.chunks
            if workload.smaller is not None and name in {"sseclient-py", "requests-sse"}:
                chunks = [b"data: ", *workload.smaller]
            decode(chunks, workload.events)
            gc.collect()
            start = time.process_time()
            count = decode(chunks, workload.events)
            times[name].append(time.process_time() - start)
            wanted = workload.events + (workload.comments if name == "this decoder" else 0)
            if count != wanted:
                raise SystemExit(f"{name} gave {count} items of {wanted}: {workload.name}")
            fed[name] = (workload.events + workload.comments, sum(map(len, chunks)))
    return {name: (statistics.median(times[name]), *fed[name]) for name in PEERS}


def compare() -> None:
    print("| workload | decoder | events/s | MB/s | time per byte, this decoder = 1 |")
    print("|---|---|---:|---:|---:|")
    ratios: dict[str, dict[str, float]] = {}
    for workload in workloads():
        rows = measure(workload)
        best = rows["this decoder"][0] / rows["this decoder"][2]
        ratios[workload.name] = {name: seconds / size / best for name, (seconds, _, size) in rows.items()}
        for name, (seconds, events, size) in rows.items():
            note = f" ({size / 2**20:.1f} MiB)" if size < 0.9 * rows["this decoder"][2] else ""
            title = workload.name if name == "this decoder" else ""
            print(
                f"| {title} | {name}{note} | {events / seconds:,.0f} | {size / seconds / 1e6:,.1f} "
                f"| {ratios[workload.name][name]:.1f} |"
            )
    print()
    conclude(ratios)


def conclude(ratios: dict[str, dict[str, float]]) -> None:
    """Says where this decoder is not as fast as it is meant to be: three times httpx-sse, ahead of every peer."""
    below = [f"{title} ({row['httpx-sse']:.2f})" for title, row in ratios.items() if row["httpx-sse"] < 3]
    behind = [
        f"{title} ({name}, {ratio:.2f})"
        for title, row in ratios.items()
        for name, ratio in row.items()
        if ratio < 1
    ]
    print(f"At least 3 times httpx-sse: {len(ratios) - len(below)} of {len(ratios)} workloads.")
    print(f"Below: {', '.join(below) or 'none'}. Behind a peer: {', '.join(behind) or 'none'}.")


def linear() -> None:
    """Time and peak memory of one line, its size doubled again and again."""
    print("| one line | in chunks of | seconds | times the half | peak MiB | times the half |")
    print("|---:|---:|---:|---:|---:|---:|")
    for chunk, sizes in ((4096, (8, 16, 32, 64)), (1, (0.25, 0.5, 1.0))):
        before: tuple[float, float] | None = None
        for mebibytes in sizes:
            chunks = pieces(b"data: " + b"x" * int(mebibytes * 2**20) + b"\n\n", chunk)
            times = []
            for _ in range(3):
                start = time.process_time()
                ours(chunks, 1)
                times.append(time.process_time() - start)
            seconds = statistics.median(times)
            tracemalloc.start()
            ours(chunks, 1)
            peak = tracemalloc.get_traced_memory()[1] / 2**20
            tracemalloc.stop()
            ratios = ("", "") if before is None else (f"{seconds / before[0]:.2f}", f"{peak / before[1]:.2f}")
            print(
                f"| {mebibytes:g} MiB | {chunk} B | {seconds:.3f} | {ratios[0]} | {peak:.1f} | {ratios[1]} |"
            )
            before = (seconds, peak)


def main() -> None:
    versions = [
        f"{name} {importlib.metadata.version(name)}" for name in [*list(PEERS)[1:], "httpx", "requests"]
    ]
    print(
        f"{platform.python_implementation()} {sys.version.split()[0]}; {', '.join(versions)}; "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors; "
        f"processor time, median of {ROUNDS} runs\n"
    )
    compare()
    print()
    linear()


if __name__ == "__main__":
    main()

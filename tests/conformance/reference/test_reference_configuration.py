"""The reference's own configuration says what the reference does."""

from collections import Counter
from importlib import resources

import pytest
import trio
from reference_world import in_virtual_time

from conformance.config import Config, fill_json, fill_path, load_config, stream_path, with_variant
from conformance.dialect import Role, classify, effective_dialect, parse, sequence_of, stream_of, timestamp_of
from conformance.reference.service import ServiceOptions, open_service
from conformance.transport import open_client
from conformance.wire import Decoder, Event
from fault_injection.virtual import VirtualNetwork


def load() -> Config:
    with resources.as_file(resources.files("conformance.reference") / "sse-conformance.toml") as path:
        return load_config(path, environ={}).config


@pytest.mark.parametrize("variant", [None, "failing", "silent", "echo"])
@in_virtual_time
async def test_every_variant_of_the_configuration_is_what_it_is_called(variant: str | None) -> None:
    config = load()
    target = with_variant(config.target, variant) if variant else config.target
    assert target.start is not None
    assert target.status is not None
    dialect = effective_dialect(config.dialect)
    network = VirtualNetwork()
    async with (
        open_service(network, options=ServiceOptions(epoch=0)) as service,
        open_client(network) as client,
    ):
        answer = await client.request(
            target.start.method,
            service.url + target.start.path,
            json=fill_json(target.start.json, {"payload": "p4yl0ad"}),
        )
        names = {"job": answer.json()["id"]}
        body = (await client.get(service.url + fill_path(stream_path(target), names))).content
        state = (await client.get(service.url + fill_path(target.status.path, names))).json()["state"]
    items = [parse(item) for item in Decoder().feed(body)]
    events = [item for item in items if isinstance(item.item, Event)]
    roles = Counter(classify(dialect, item) for item in items)
    ending = Role.FAILURE if variant == "failing" else Role.COMPLETION
    assert [classify(dialect, item) for item in events[-2:]] == [ending, Role.END]
    assert roles[Role.COMPLETION] + roles[Role.FAILURE] == roles[Role.END] == 1
    assert len(events) - roles[Role.END] == config.expect.events
    assert [sequence_of(dialect, item) for item in events] == list(range(1, 10))
    assert {stream_of(dialect, item) for item in events} == {names["job"]}
    times = [timestamp_of(dialect, item) for item in events]
    assert times == sorted(times, key=lambda time: time or 0)
    assert times[-1] == pytest.approx(trio.current_time())
    assert (roles[Role.HEARTBEAT] >= 3) is (variant == "silent")
    assert (b"p4yl0ad" in body) is (variant == "echo")
    assert state in (target.status.finished or ())

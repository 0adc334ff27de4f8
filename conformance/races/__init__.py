"""Planted races: small applications that are wrong at an unlucky moment, each with its corrected twin.

They are what exploration is measured by, and the breakers of the rules that only it judges.
"""

from conformance.races import (
    cancelled_cleanup,
    cancelled_while_joining,
    check_then_wait,
    close_before_flush,
    current_job,
    kept_generator,
    late_heartbeat,
    orphaned_producer,
    publish_before_subscribe,
    replay_then_live,
    shared_queue,
    slot_before_body,
    status_before_event,
    superseded_stream,
)
from conformance.races.base import Race

RACES: tuple[Race, ...] = (
    publish_before_subscribe.RACE,
    shared_queue.RACE,
    replay_then_live.RACE,
    slot_before_body.RACE,
    check_then_wait.RACE,
    superseded_stream.RACE,
    cancelled_cleanup.RACE,
    late_heartbeat.RACE,
    close_before_flush.RACE,
    status_before_event.RACE,
    orphaned_producer.RACE,
    kept_generator.RACE,
    current_job.RACE,
    cancelled_while_joining.RACE,
)

__all__ = ["RACES", "Race"]

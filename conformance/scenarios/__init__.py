"""The catalogue of scenarios: ways to drive a target."""

from conformance.drive.scenario import Scenario
from conformance.scenarios import (
    crowd,
    cuts,
    hostile,
    leaving,
    links,
    plain,
    requests,
    sessions,
    shutdown,
    storms,
)

SCENARIOS: tuple[Scenario, ...] = (
    plain.subscribe,
    plain.two_subscribers,
    plain.late_subscriber,
    plain.after_completion,
    plain.failing_job,
    plain.long_silence,
    cuts.resume_after_cut,
    cuts.resume_mid_event,
    cuts.completion_while_away,
    cuts.unknown_id,
    cuts.disconnect_before_head,
    cuts.disconnect_mid_stream,
    cuts.close_at_completion,
    links.slow_network,
    links.sliced_bytes,
    links.buffering_middlebox,
    requests.without_credentials,
    requests.unknown_stream,
    requests.other_origin,
    hostile.wrong_credentials,
    hostile.hostile_input,
    leaving.cancel,
    leaving.abandoned,
    leaving.leaving,
    leaving.cut_off,
    sessions.supersede,
    sessions.side_by_side,
    sessions.foreign_id,
    crowd.crowd,
    storms.connect_storm,
    storms.stalled_reader,
    cuts.restart,
    shutdown.shutdown,
    shutdown.shutdown_sigint,
)

__all__ = ["SCENARIOS", "Scenario"]

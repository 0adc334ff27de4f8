"""The faults at work, one to a file: each a stage that items pass on their way from sender to receiver."""

from fault_injection.faults import (
    Bandwidth,
    Blackhole,
    Buffer,
    Disconnect,
    Fault,
    Latency,
    Refuse,
    Slice,
    SlowClose,
)
from fault_injection.toxics.bandwidth import BandwidthToxic
from fault_injection.toxics.base import Setting, Toxic
from fault_injection.toxics.blackhole import BlackholeToxic
from fault_injection.toxics.buffer import BufferToxic
from fault_injection.toxics.disconnect import DisconnectToxic
from fault_injection.toxics.latency import LatencyToxic
from fault_injection.toxics.slicer import SliceToxic
from fault_injection.toxics.slow_close import SlowCloseToxic


def make_toxic(fault: Fault, setting: Setting) -> Toxic | None:
    """The stage for a fault; None for `Refuse`, which acts before there is a connection."""
    match fault:
        case Latency():
            return LatencyToxic(fault, setting)
        case Bandwidth():
            return BandwidthToxic(fault, setting)
        case Slice():
            return SliceToxic(fault, setting)
        case Buffer():
            return BufferToxic(fault, setting)
        case Disconnect():
            return DisconnectToxic(fault, setting)
        case Blackhole():
            return BlackholeToxic(fault, setting)
        case SlowClose():
            return SlowCloseToxic(fault, setting)
        case Refuse():
            return None

"""Plans as people meet them: JSON in and out, and one phrase for each fault."""

import msgspec

from fault_injection.faults import (
    AtBytes,
    AtTime,
    AtTrigger,
    Bandwidth,
    Blackhole,
    Buffer,
    Disconnect,
    Fault,
    Latency,
    Plan,
    Refuse,
    Slice,
    SlowClose,
    When,
)


class PlanError(ValueError):
    """A fault plan cannot be read; the message names the path, what was found and what is allowed."""


_decoder = msgspec.json.Decoder(Plan)


def plan_from_json(text: bytes | str) -> Plan:
    """The plan that `{"faults": [{"fault": "latency", "delay": 0.2}, ...]}` says. Raises `PlanError`."""
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError as error:
        raise PlanError(f"the fault plan cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"the fault plan is not UTF-8: {error}") from error


def plan_to_json(plan: Plan) -> bytes:
    """The plan as JSON; `plan_from_json` gives an equal one back."""
    return msgspec.json.encode(plan)


def describe(fault: Fault) -> str:
    """One phrase for people, e.g. `buffer 4096 bytes downstream`."""
    phrase = _phrase(fault)
    if not isinstance(fault, Refuse):
        phrase += f" {fault.direction}"
    match fault.connections:
        case None:
            return phrase
        case 1:
            return f"{phrase}, first {'attempt' if isinstance(fault, Refuse) else 'connection'} only"
        case n:
            return f"{phrase}, first {n} {'attempts' if isinstance(fault, Refuse) else 'connections'} only"


def describe_plan(plan: Plan) -> str:
    """The phrases of all faults in order, or `no faults`."""
    return "; ".join(map(describe, plan.faults)) or "no faults"


def _phrase(fault: Fault) -> str:
    match fault:
        case Latency(delay=delay, jitter=jitter):
            return f"latency {delay:g} s" + (f" ± {jitter:g} s" if jitter else "")
        case Bandwidth(bytes_per_second=rate):
            return f"bandwidth {rate:g} bytes/s"
        case Slice(size=size, variation=variation, gap=gap):
            pieces = f"slice into {size}" + (f" ± {variation}" if variation else "") + _plural(size, " byte")
            return pieces + (f", {gap:g} s apart," if gap else "")
        case Buffer(size=size, flush_after=flush_after):
            held = f"buffer {size}{_plural(size, ' byte')}"
            return held + (f" for at most {flush_after:g} s" if flush_after is not None else "")
        case Disconnect(when=when, how=how):
            return f"disconnect by {how.upper()} {_moment(when)}"
        case Blackhole(when=when, duration=duration):
            span = "for ever" if duration is None else f"for {duration:g} s"
            return f"blackhole {_moment(when)} {span}"
        case SlowClose(delay=delay):
            return f"close {delay:g} s late"
        case Refuse(duration=duration):
            return "refuse connections" + ("" if duration is None else f" for {duration:g} s")


def _moment(when: When) -> str:
    match when:
        case AtBytes(offset=offset):
            return f"after {offset}{_plural(offset, ' byte')}"
        case AtTime(seconds=seconds):
            return f"after {seconds:g} s"
        case AtTrigger(name=name, argument=argument):
            return f"at {name}" + ("" if argument is None else f" {argument}")


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"

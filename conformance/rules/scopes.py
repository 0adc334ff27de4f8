"""Sets of scenarios that rules are judged in."""

PLAIN = ("subscribe", "two-subscribers", "late-subscriber", "after-completion", "long-silence")
"""Nothing goes wrong on the way."""

LINKS = ("slow-network", "sliced-bytes", "buffering-middlebox")
"""The way is bad, but every byte arrives."""

RESUMES = ("resume-after-cut", "resume-mid-event", "completion-while-away", "completion-unwatched")
"""The subscriber comes back with the last event ID."""

LEFT = ("disconnect-before-head", "disconnect-mid-stream", "close-at-completion")
"""One subscriber leaves early, another one comes after it."""

READING = (*PLAIN, "failing-job", *LINKS, *RESUMES, *LEFT, "side-by-side")
"""Somebody reads a stream that exists and may be read."""

LIVE = tuple(name for name in READING if name != "completion-unwatched")
"""Somebody is there while most of it is made."""

REFUSABLE = (
    *("unknown-stream", "unknown-id", "foreign-id", "other-origin"),
    *("without-credentials", "wrong-credentials"),
)
"""What is asked for may be refused."""

SHUTDOWN = ("shutdown", "shutdown-sigint")
"""The server is asked to end while streams are open."""

ALL = (
    *READING,
    *("unknown-id", "foreign-id", "cancel", "cut-off", "leaving", "abandoned", "one-leaves"),
    *("supersede", "restart"),
    *("hostile-input", "wrong-credentials", "without-credentials", "unknown-stream", "other-origin"),
    *("connect-storm", "stalled-reader", "crowd", *SHUTDOWN),
)
"""Whatever is driven."""

EXCLUSIVE = ("crowd", "connect-storm", "restart", *SHUTDOWN)
"""The whole server is measured or disturbed."""

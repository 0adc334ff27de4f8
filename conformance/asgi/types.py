"""The words of ASGI 3.0: what a server and an application say to each other.

The standard is `asgi.readthedocs.io`: "ASGI Specification" 3.0, "HTTP & WebSocket ASGI Message Format" 2.x,
"Lifespan Protocol" 2.0.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class ClientDisconnected(OSError):
    """`send` was called and nobody is there (raised from spec version 2.4 on)."""

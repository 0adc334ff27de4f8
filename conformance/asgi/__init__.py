"""An ASGI application as the subject: in this process, behind a small server, on any network and any clock.

`open_asgi(load_app("shop:app"), network)`. What happens between server and application can be decided at
each crossing (`moments.py`); what the application leaves behind is data (`left_behind.py`).
"""

from conformance.asgi.errors import AppError
from conformance.asgi.left_behind import LeftBehind
from conformance.asgi.lifespan import StartupError
from conformance.asgi.load import AppNotFound, load_app, made
from conformance.asgi.messages import ProtocolError
from conformance.asgi.moments import Boundary, Choice, Drawn, Moments, News, Noted, Plan
from conformance.asgi.subject import Options, Subject, open_asgi
from conformance.asgi.types import ASGIApp, ClientDisconnected

__all__ = [
    "ASGIApp",
    "AppError",
    "AppNotFound",
    "Boundary",
    "Choice",
    "ClientDisconnected",
    "Drawn",
    "LeftBehind",
    "Moments",
    "News",
    "Noted",
    "Options",
    "Plan",
    "ProtocolError",
    "StartupError",
    "Subject",
    "load_app",
    "made",
    "open_asgi",
]

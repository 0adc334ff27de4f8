"""The response head: what a client and the middleboxes on the way decide by."""

from conformance.rules.http_edges import auth, cors, unknown_stream
from conformance.rules.http_framing import compression, connection, head_before_first_event, no_length
from conformance.rules.http_head import (
    cache_control,
    charset,
    content_type,
    pragma_expires,
    proxy_buffering,
    status,
)

RULES = (
    status,
    content_type,
    charset,
    cache_control,
    proxy_buffering,
    pragma_expires,
    compression,
    no_length,
    connection,
    cors,
    auth,
    unknown_stream,
    head_before_first_event,
)

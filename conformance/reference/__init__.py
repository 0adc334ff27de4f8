"""A correct producer, server and client, written to be read.

Read `channel` first (why nothing is lost between replay and live events), then `producer` (jobs, their ends,
restarts), `routes` (what a stream's HTTP looks like), `server` and `connection` (flushing, disconnects,
shutdown), and `client` (resuming, completion). `service` puts the server side together.
"""

"""A correct producer, server and client, written to be read."""

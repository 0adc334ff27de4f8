"""The suite that runs against any target: `pytest --sse-url URL --pyargs conformance.suite`."""

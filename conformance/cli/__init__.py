"""The command line. Exit codes: 0 conforms, 1 does not, 2 the call or the configuration is wrong, 3 the target
could not be reached or the harness failed."""

from conformance.cli.app import main

__all__ = ["main"]

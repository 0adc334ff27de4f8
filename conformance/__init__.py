"""Event streams (Server-Sent Events): wire, reference, scenarios, rules, suite, command line."""

__version__ = "0.1.0"

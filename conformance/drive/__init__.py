"""Drives a target: requests, subscribers, links, a whole scenario, a whole run."""

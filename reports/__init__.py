"""Verdicts, evidence, timelines and their renderings. Knows nothing of SSE; imports no sibling package."""

"""Where words stand in a timeline's picture: beside what they name, and never one upon another."""

from collections.abc import Iterable, Sequence

from reports.shapes import CHARACTER, LEFT, RIGHT, Bar, Group, Label
from reports.text import brief
from reports.timeline import Tone

_CLEAR = 8.0  # a bar no higher than this passes under the words


def labels(groups: Iterable[Group]) -> Iterable[Label]:
    """Names for the marks that tell the story, the gravest first, where there is room for them."""
    taken: list[tuple[float, float]] = []
    order: tuple[Tone, ...] = ("bad", "fault", "good", "note")
    for group in sorted((g for g in groups if g.tone in order), key=lambda g: (order.index(g.tone), g.x)):
        text = brief(group.what, 24) + (f" ×{group.count:,}" if group.count > 1 else "")
        width = len(text) * CHARACTER
        anchor, left = "middle", group.x - width / 2
        if left < LEFT:
            anchor, left = "start", group.x
        elif left + width > RIGHT:
            anchor, left = "end", group.x - width
        if left >= 0 and _free(taken, left, left + width):
            taken.append((left, left + width))
            yield Label(group.x, anchor, text, group.tone)


def counts(bars: Sequence[Bar]) -> Iterable[Label]:
    """`×40` beside the towers that stand out, the highest first, where there is room."""
    taken = [(bar.x, bar.x + bar.width) for bar in bars if bar.height > _CLEAR]
    for bar in sorted((bar for bar in bars if bar.count >= 5), key=lambda bar: -bar.count)[:200]:
        text = f"×{bar.count:,}"
        width = len(text) * CHARACTER
        after, before = bar.x + bar.width + 3, bar.x - 3
        for anchor, x, left in (("start", after, after), ("end", before, before - width)):
            if left >= LEFT and left + width <= RIGHT and _free(taken, left, left + width):
                taken.append((left, left + width))
                yield Label(round(x, 1), anchor, text, "event")
                break


def _free(taken: Iterable[tuple[float, float]], left: float, right: float) -> bool:
    return all(left > end or right < start for start, end in taken)

"""One of what was observed, in words: rules name what they count in the plural."""

import re
from typing import Final

_HEAD: Final = re.compile(
    r"^((?:(?!(?:of|in|at|to|with|for|who|what|that|which)\b)[\w-]+ ){0,2}?)(?!was\b|is\b)(\w*[^\Ws])s\b"
)
_AFTER_ONE: Final = (
    (re.compile(r"\bthey were\b"), "it was"),
    (re.compile(r"\bthey are\b"), "it is"),
    (re.compile(r"\bthey (had|ended)\b"), r"it \1"),
    (re.compile(r"\bwere\b"), "was"),
    (re.compile(r"\btheir\b"), "its"),
    (re.compile(r"\bthat (tell|say)\b"), r"that \1s"),
)


def singular(what: str) -> str:
    """`subscriber who was told`, of `subscribers who were told`. `what` is a plural with what is said of it, up to a
    colon or semicolon; a singular that does not end in s stays as it is."""
    end = re.search("[:;]|$", what)
    assert end is not None
    one, changed = _HEAD.subn(r"\1\2", what[: end.start()], count=1)
    for pattern, after_one in _AFTER_ONE if changed else ():
        one = pattern.sub(after_one, one)
    return one + what[end.start() :]

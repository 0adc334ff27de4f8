"""The options that say what the stream's request is, as curl has them: -H, -X, -d."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias, get_args

import msgspec
import typer

from conformance.cli.common import MISUSED, Failure
from conformance.config import Loaded, credentials, literal
from conformance.config.schema import Method
from conformance.files import read_small

HeaderOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--header", "-H", metavar="'NAME: VALUE'", help="A header of the request; may be repeated. As curl's."
    ),
]
MethodOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--request", "-X", metavar="METHOD", help="The method of the request. As curl's."),
]
DataOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--data",
        "-d",
        metavar="BODY",
        help="POST this body, or that of @FILE, or of @- (standard input). As curl's, but it is sent as JSON "
        "unless a Content-Type is given.",
    ),
]

_METHODS = get_args(Method)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


def apply_request(
    loaded: Loaded, headers: Sequence[str] | None, method: str | None, data: str | None
) -> Loaded:
    """The configuration with what the call says of the stream's request: headers (their values are secret where
    they carry credentials), the method, the body. Who comes back sends the headers, too. Raises `Failure` (2)."""
    target, secrets = loaded.config.target, set(loaded.secrets)
    stream, resume = target.stream, target.resume
    given = [_header(each) for each in headers or ()]
    for name, value in given:
        secrets |= {*credentials({name: value})}
    if resume is not None:
        resume = msgspec.structs.replace(resume, headers=_with(resume.headers, given))
    merged = _with(stream.headers, given)
    if data is not None:
        if not any(name.lower() == "content-type" for name in merged):
            merged["Content-Type"] = "application/json"
        stream = msgspec.structs.replace(stream, body=literal(_body(data)), json=None, method="POST")
    if method is not None:
        stream = msgspec.structs.replace(stream, method=_method(method, with_body=_has_body(stream)))
    stream = msgspec.structs.replace(stream, headers=merged)
    target = msgspec.structs.replace(target, stream=stream, resume=resume)
    config = msgspec.structs.replace(loaded.config, target=target)
    return msgspec.structs.replace(loaded, config=config, secrets=frozenset(secrets))


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not colon and text.rstrip().endswith(";"):  # as curl has it for a header without a value
        name, value = text.rstrip()[:-1].strip(), ""
    elif not colon or not name:
        raise Failure(f"--header wants 'NAME: VALUE', not {text!r}", MISUSED)
    elif not value:
        raise Failure(
            f"--header {text!r} has no value. To send the header without one write '{name};'. "
            "To take a header out, as curl would, is not possible",
            MISUSED,
        )
    if not _NAME.fullmatch(name):
        raise Failure(f"--header {text!r}: {name!r} is no name that HTTP allows for a header", MISUSED)
    if any(ord(character) < 32 and character != "\t" for character in value):
        raise Failure(
            f"--header {name}: its value holds a control character, which no header can carry", MISUSED
        )
    return name, value


def _with(headers: Mapping[str, str], given: Sequence[tuple[str, str]]) -> dict[str, str]:
    merged = dict(headers)
    for name, value in given:
        others = {key: each for key, each in merged.items() if key.lower() != name.lower()}
        merged = others | {name: literal(value)}
    return merged


def _has_body(stream: msgspec.Struct) -> bool:
    return getattr(stream, "body", None) is not None or getattr(stream, "json", None) is not None


def _method(text: str, *, with_body: bool) -> Method:
    for method in _METHODS:
        if method == text.upper():
            if with_body and method in {"GET", "HEAD"}:
                raise Failure(
                    f"--request {text}: a {method} request carries no body; leave out --data", MISUSED
                )
            return method  # type: ignore[no-any-return]  # one of the literal's own values
    raise Failure(f"--request {text!r}: a method is one of {', '.join(_METHODS)}", MISUSED)


def _body(data: str) -> str:
    """What follows --data: the body itself, or where it is."""
    if not data.startswith("@"):
        return data
    place = data[1:]
    try:
        return sys.stdin.read() if place == "-" else read_small(Path(place)).decode("utf-8")
    except OSError as error:
        raise Failure(f"--data {data}: {error.strerror}", MISUSED) from error
    except UnicodeDecodeError as error:
        raise Failure(f"--data {data}: it is no UTF-8 text (at byte {error.start})", MISUSED) from error

"""What a person names as a file may be a device that never ends."""

import errno
from pathlib import Path

import pytest

from conformance.config import ConfigError, load_config
from conformance.files import MOST, read_small

ENDLESS = Path("/dev/zero")


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(b"x" * MOST)
    assert len(read_small(file)) == MOST
    file.write_bytes(b"x" * (MOST + 1))
    with pytest.raises(OSError, match="over 16 MiB") as caught:
        read_small(file)
    assert caught.value.errno == errno.EFBIG


@pytest.mark.skipif(not ENDLESS.exists(), reason="no such device here")
def test_an_endless_device_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="cannot be read: File too large"):
        load_config(ENDLESS, environ={})

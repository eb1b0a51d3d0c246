"""Files are read up to a limit, and what is no file is refused instead of waited for."""

import os

import pytest

from social_perception.core.errors import ConfigurationError
from social_perception.core.files import check_file, read_limited
from social_perception.core.secret import check_secret, is_plain, read_secret

TOKEN = "a-very-secret-token"


@pytest.mark.parametrize("size", [0, 1, 4095, 4096])
def test_a_file_up_to_the_limit_is_read_as_it_is(tmp_path, size):
    path = tmp_path / "file"
    content = bytes(range(256)) * 16
    path.write_bytes(content[:size])
    assert read_limited(path, 4096) == content[:size]
    check_file(path, 4096)


def test_a_file_that_does_not_say_its_size_is_read_too():
    assert read_limited("/proc/self/cmdline", 1 << 20)
    with pytest.raises(OSError, match="larger than"):
        read_limited("/proc/self/cmdline", 2)


@pytest.fixture
def places(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10 * 2**30)
    return tmp_path


@pytest.mark.parametrize("read", [read_limited, check_file])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pipe", "not a regular file"),
        ("link", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        ("folder", "Is a directory"),
        ("sparse", "larger than 64 MB"),
        ("missing", "No such file"),
    ],
)
def test_what_is_no_file_or_too_large_is_refused(places, read, name, reason):
    with pytest.raises(OSError, match=reason):
        read(places / name, 64 * 2**20)


@pytest.mark.parametrize("value", ["", TOKEN, "@token", "@/run/secrets/web", "@~/token"])
def test_a_secret_is_empty_a_token_or_a_file(value):
    check_secret("token", value)
    assert is_plain(value) is (value == TOKEN)


@pytest.mark.parametrize("value", ["short", "a" * 1025, "spaces in between", "@", "line\nfeed-and-more"])
def test_what_is_no_secret_is_refused_and_not_repeated(value):
    with pytest.raises(ConfigurationError, match="token must be at least 12 letters") as caught:
        check_secret("token", value)
    assert value == "@" or value not in str(caught.value)


def test_the_file_holds_the_secret(tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert read_secret("token", f"@{tmp_path / 'token'}") == TOKEN
    assert read_secret("token", TOKEN) == TOKEN
    assert read_secret("token", "") == ""


@pytest.mark.parametrize(
    "content", [b"", b"short", b"two-tokens-are two-tokens-are", "ümlaut-ümlaut".encode()]
)
def test_a_file_that_holds_something_else_is_refused_and_not_repeated(tmp_path, content):
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigurationError, match="must hold a token") as caught:
        read_secret("token", f"@{tmp_path / 'token'}")
    assert not content or content.decode() not in str(caught.value)


@pytest.mark.parametrize("name", ["missing", "/dev/zero"])
def test_a_secret_that_cannot_be_read_is_reported(tmp_path, name):
    with pytest.raises(ConfigurationError, match=r"the token in .* cannot be read"):
        read_secret("token", f"@{tmp_path / name}")

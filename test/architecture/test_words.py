"""The check of words finds those that are planted, and lets the field's own pass."""

from __future__ import annotations

import check_words as words
import pytest

PLANTED = """\
images left unprocessed | images that were left out | the user is told | what is said of a person
wanted: Wanted | asked for by a parameter | the newest picture | 30 pictures per second | _told_apart
the core and the other rooms | a room of its own | the way of one frame | def walk_the_way_of_a_frame():
that is what cannot be | a value that cannot be. | crowd = 3 | say it in words | was heard | whence
the error is mended | mends it | Equipment() | the tolerant sink | share_out(3) | uproot(tensor) | Situation
runs for the night | waited in vain | starts by itself | ends in good order | the picture of a camera
"""
CLEAN = """\
dropped, reported, published, requested, enabled, image, picture, module, pipeline, invalid, received
the file cannot be read | what cannot be written | an empty room | toldo | recommended | amended | Roomba
crowded | words | for word in words: | crowd_1080p.mp4
"""


@pytest.mark.parametrize(
    "planted", [each.strip() for line in PLANTED.splitlines() for each in line.split("|")]
)
def test_planted_words_are_found_with_their_file_line_and_term(planted):
    found = list(words.find_words("a/b.py", f"fine\n{planted}\n"))
    assert found, planted
    assert all((each.path, each.line) == ("a/b.py", 2) and each.term for each in found)


@pytest.mark.parametrize("term", words.TERMS)
def test_every_term_is_planted(term):
    pattern = next(each for each in words.PATTERNS if f"(?:{term})" in each.pattern)
    assert pattern.search(PLANTED.replace("_", " "))


@pytest.mark.parametrize("text", CLEAN.splitlines())
def test_the_fields_own_words_pass(text):
    assert not list(words.find_words("a.py", text))


def test_a_file_with_such_a_word_fails_the_check(tmp_path, capsys):
    for text, status in (("fine", 0), ("the user is told", 1)):
        path = tmp_path / "page.md"
        path.write_text(text)
        assert words.main([str(path)]) == status
    assert "page.md:1: 'told': use reported" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "checked"),
    [
        ("README.md", True), ("msg/A.msg", True), ("a/page.js", True), ("a.html", True), ("a.yaml", True),
        ("a.png", False), ("CHANGELOG.rst", False), ("tools/check_words.py", False),
    ],
)  # fmt: skip
def test_texts_for_people_are_checked(path, checked):
    assert words.is_checked(path) is checked

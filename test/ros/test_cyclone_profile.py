"""The configuration of Cyclone DDS for large images."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

NAMES = ("MaxMessageSize", "FragmentSize")
LARGEST_UDP_BYTES = 65507
PATH = Path(__file__).parents[2] / "config" / "cyclonedds_large_images.xml"


def test_an_image_goes_in_pieces_as_large_as_udp_carries() -> None:
    space = "{https://cdds.io/config}"
    general = ET.parse(PATH).getroot().find(f"{space}Domain/{space}General")
    message, fragment = (int(general.findtext(f"{space}{name}").removesuffix("B")) for name in NAMES)
    assert LARGEST_UDP_BYTES // 2 < fragment < message <= LARGEST_UDP_BYTES
    # What DDS writes before a piece, encrypted or not, needs some room.
    assert message - fragment >= 500

"""The sending end of the TCP stream: connects to a listening source and sends images."""

from __future__ import annotations

import math
import socket
import time

import cv2

from social_perception.core.errors import SourceError
from social_perception.core.types import ImageArray
from social_perception.sources.tcp_protocol import Address, JpegMessage, ProtocolError, pack, send_greeting

_SEND_TIMEOUT_S = 10.0
_RETRY_S = 0.2


class TcpSender:
    """A connection to a receiver; use it as a context manager."""

    def __init__(self, address: Address, wait_s: float = 0.0, quality: int = 90, token: str = "") -> None:
        """Connect and greet.

        Args:
            address: where the receiver listens.
            wait_s: for how long to go on trying while nobody listens there.
            quality: of the JPEG images, 1 to 100.
            token: that the receiver requires; it must know it, too.

        Raises:
            SourceError: nobody listens there, or the token is not the receiver's.
        """
        self.address = address
        self._quality = quality
        self._socket = _connect(address, wait_s)
        try:
            send_greeting(self._socket, _SEND_TIMEOUT_S, token)
        except ProtocolError as error:
            self._socket.close()
            raise SourceError(f"{address} cannot be sent to: {error}") from error
        self._socket.settimeout(_SEND_TIMEOUT_S)

    def send(self, image: ImageArray, stamp_s: float = math.nan) -> None:
        """Send one RGB image of shape (H, W, 3); NaN lets the receiver stamp it.

        Raises:
            SourceError: the receiver has gone or accepts nothing.
        """
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        encoded, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        if not encoded:
            raise SourceError(f"an image of {image.shape[1]} x {image.shape[0]} px cannot be sent as JPEG")
        self._send(pack(JpegMessage(stamp_s, jpeg.tobytes())))

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except TimeoutError as error:
            raise SourceError(
                f"{self.address} accepts no images (is it busy with another sender?)"
            ) from error
        except OSError as error:
            raise SourceError(f"{self.address} closed the connection; its log says why") from error

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> TcpSender:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def _connect(address: Address, wait_s: float) -> socket.socket:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return socket.create_connection((address.host, address.port), timeout=_SEND_TIMEOUT_S)
        except (OSError, OverflowError) as error:
            if time.monotonic() >= deadline:
                reason = getattr(error, "strerror", None) or error
                raise SourceError(f"nobody listens on {address}: {reason}") from error
        time.sleep(_RETRY_S)

"""The errors of the package: every failure a caller can act on derives from SocialPerceptionError.

The library raises these; nodes and commands turn them into a log line or an exit status.
"""


class SocialPerceptionError(Exception):
    """Base class; its message is one line that a user can act on."""


class ConfigurationError(SocialPerceptionError, ValueError):
    """A setting is outside its range or unknown."""


class ImageError(SocialPerceptionError, ValueError):
    """An image has a shape, type or content that cannot be processed."""


class SoundError(SocialPerceptionError, ValueError):
    """A block of sound has a shape, type or content that cannot be processed."""


class MessageError(SocialPerceptionError, ValueError):
    """A message about faces or groups has invalid values."""


class CalibrationError(SocialPerceptionError, ValueError):
    """A camera's calibration is invalid."""


class SourceError(SocialPerceptionError):
    """A camera, video, folder or stream cannot be opened or read."""


class SourceTimeout(SourceError):  # noqa: N818 (as queue.Empty)
    """A live source is open but has delivered no frame for too long."""


class OutputError(SocialPerceptionError):
    """A result cannot be written."""


class WebError(SocialPerceptionError):
    """The web page cannot be served."""


class ModelError(SocialPerceptionError):
    """Network weights are missing, damaged or of another architecture."""


class DetectionError(SocialPerceptionError):
    """The face detector failed on an image."""


class MissingDependencyError(SocialPerceptionError):
    """An optional package is required for the request and is not installed."""


def missing_package(error: ModuleNotFoundError) -> MissingDependencyError:
    """The error of a Python package that is required and not installed."""
    return MissingDependencyError(
        f"the Python package {error.name} is not installed; social-perception doctor shows how to install it"
    )


INVALID_CONFIGURATION = 2
"""Exit status of a program that fails again whenever it is started with the same configuration."""

PERMANENT = (ConfigurationError, ModelError, MissingDependencyError)
"""Errors that restarting a program does not solve."""

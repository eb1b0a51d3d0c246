"""The report of a video: one HTML file, made from its tables alone.

``measures`` computes (numpy only), ``charts`` turns curves into SVG paths, ``thumbnails`` takes
pictures where they were asked for, ``page`` fills the template.
"""

from social_perception.views.report.page import write_report
from social_perception.views.report.thumbnails import Thumbnail, take_thumbnails

__all__ = ["Thumbnail", "take_thumbnails", "write_report"]

"""The report of a video: one HTML file, made from its tables.

``measures`` computes (numpy only), ``charts`` turns curves into SVG paths, ``thumbnails`` makes
images where they are requested, ``page`` fills the template.
"""

from social_perception.views.report.page import write_report
from social_perception.views.report.thumbnails import Thumbnail, make_thumbnails

__all__ = ["Thumbnail", "make_thumbnails", "write_report"]

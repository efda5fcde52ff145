"""The report of a study: one HTML page that needs nothing else."""

from ketamap.report.contents import BrainQuality as BrainQuality
from ketamap.report.contents import StudyReport as StudyReport
from ketamap.report.render import render_report as render_report

__all__ = ["BrainQuality", "StudyReport", "render_report"]

"""A usage event as a row, what is asked of the usage log, and what it answers. Pure."""

from samovar.domains.usage.model.figures import Buckets, Dimension, Figures, Filters, Group, Latency, Point, Window
from samovar.domains.usage.model.forecast import Band, Forecast, Method
from samovar.domains.usage.model.records import Place, Record
from samovar.domains.usage.model.rows import UsageRow, row_of

__all__ = [
    "Band",
    "Buckets",
    "Dimension",
    "Figures",
    "Filters",
    "Forecast",
    "Group",
    "Latency",
    "Method",
    "Place",
    "Point",
    "Record",
    "UsageRow",
    "Window",
    "row_of",
]

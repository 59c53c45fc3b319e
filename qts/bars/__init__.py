"""Bars: from a vendor's files to checked rows, the calendar, the universe and the panel."""

"""Doors for those who come from elsewhere: their scripts run with the import line changed alone."""

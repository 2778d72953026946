"""Models of the objective that guided searchers learn from the trials."""

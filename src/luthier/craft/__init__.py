"""The craft: what experienced tuners know of each hyperparameter, as functions a program can follow."""

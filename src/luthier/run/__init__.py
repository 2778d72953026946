"""Running studies: opening them, the worker loop, checkpoints, processes, devices."""

"""Keras on real images. The backend is one per process: the suite runs itself once for each."""

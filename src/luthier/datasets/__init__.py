"""Real data to try things on: Fashion-MNIST, with 7,000 of its images inside the package."""

from __future__ import annotations

from luthier.datasets.fashion import CLASSES, Dataset, fashion_mnist

__all__ = ["CLASSES", "Dataset", "fashion_mnist"]

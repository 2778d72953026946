"""scikit-learn: ranges in its spelling, cross-validation fold by fold or epoch by epoch, ``cv_results_``."""

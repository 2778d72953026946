"""What a study taught: importance, isolation, significance, diagnosis, and the report."""

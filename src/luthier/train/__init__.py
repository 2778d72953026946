"""What touches a framework: adapters that write the training loop for it."""

"""What people touch: the tune call, the command line, the live view, the demo."""

"""``python -m luthier``: the ``luthier`` command."""

from luthier.app.command import main

if __name__ == "__main__":
    main()

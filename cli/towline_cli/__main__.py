"""``python -m towline_cli`` is the ``towline`` command."""

import sys

from towline_cli.main import main

if __name__ == "__main__":
    sys.exit(main())

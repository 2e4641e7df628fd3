"""`python -m pytest_diffopt.null_gpu [--gpu NAME] [--count N] [--values small|all|none] -- COMMAND`."""

import sys

from pytest_diffopt.null_gpu.command import main

if __name__ == "__main__":
    sys.exit(main())

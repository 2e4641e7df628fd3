import sys
from pytest_diffopt.null_gpu.launching import run
sys.exit(run(sys.argv[1:]))

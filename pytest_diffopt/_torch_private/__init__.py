"""The only package that uses torch's private names, with one module for each subject.

`tests/unit/torch_private` checks that torch has each name. The names were read in torch 2.11.0, 2.12.1, 2.13.0 and
2.14.1.
"""

import torch

from pytest_diffopt._torch_private.version_gate import require_supported

require_supported(str(torch.__version__))

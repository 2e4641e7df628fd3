"""The one place that touches private names of torch, a module for each subject.

Everything here is checked by `tests/unit/torch_private/`; read in torch 2.11.0, 2.12.1 and 2.13.0.
"""

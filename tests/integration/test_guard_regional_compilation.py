"""Blocks that are compiled one by one: one compilation for all of a kind, or one for each."""

import pytest

BLOCKS = """
import pytest, torch
import small_pipeline
from pytest_diffopt import assert_no_graph_breaks, assert_no_recompiles

class Processor:
    def __call__(self, block, x):
        return block.linear(x)

class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(16, 16)
        self.processor = Processor()

    def forward(self, x):
        return self.processor(self, x){id_guard}

class UNet(small_pipeline.SmallUNet):
    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.Sequential(*(Block() for _ in range(9)))

    def forward(self, latents, timestep):
        return self.blocks(super().forward(latents, timestep))

@pytest.fixture
def optimized_pipeline():
    pipeline = small_pipeline.build(UNet)
    for block in pipeline.unet.blocks:
        block.compile(backend="eager")
    return pipeline

def test_recompiles(optimized_pipeline, pipeline_inputs):
    assert_no_recompiles(optimized_pipeline, [pipeline_inputs])

def test_graph(optimized_pipeline, pipeline_inputs):
    assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)
"""


def test_processors_that_are_guarded_by_their_id_fail_under_regional_compilation(
    own_pipeline: pytest.Pytester,
) -> None:
    """Each of nine blocks is compiled separately, until Dynamo's recompile limit."""
    own_pipeline.makepyfile(test_it=BLOCKS.format(id_guard=" * (1 if id(self.processor) else 2)"))
    result = own_pipeline.runpytest_inprocess("-k", "recompiles")

    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 7 recompiles (0 allowed)",
            "  warm-up: Block.forward  test_it.py:15",
            "    `self.processor` is a different Processor: specialised on the object's identity; pass the "
            "same object, or check its properties in forward",
            "    test_it.py:16  in forward",
            "      return self.processor(self, x) [*] (1 if id(self.processor) else 2)",
            "    torch: ___check_obj_id(self.processor), type=<*test_it.Processor*>",
            "    and 6 more: warm-up",
            "  Block.forward  test_it.py:15: reached Dynamo's recompile limit; it now runs uncompiled",
        ],
        consecutive=True,
    )


def test_a_function_at_the_recompile_limit_fails(own_pipeline: pytest.Pytester) -> None:
    """It runs uncompiled from then on."""
    own_pipeline.makepyfile(test_it=BLOCKS.format(id_guard=" * (1 if id(self.processor) else 2)"))
    result = own_pipeline.runpytest_inprocess("-k", "graph")

    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 function reached Dynamo's recompile limit",
            "  Block.forward  test_it.py:15: reached Dynamo's recompile limit; it now runs uncompiled",
        ],
        consecutive=True,
    )


def test_regional_compilation_is_shown_as_n_blocks_and_one_compile(own_pipeline: pytest.Pytester) -> None:
    """In the table that `-v` prints."""
    own_pipeline.makepyfile(test_it=BLOCKS.format(id_guard=""))
    result = own_pipeline.runpytest_inprocess("-v", "-k", "graph")

    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.fnmatch_lines(
        ["passed  graph breaks *  0 graph breaks in 1 compiled frame; unet Block: 9 blocks, 1 compile"]
    )

"""An optimization of one's own, as docs/optimizations.md shows it: FreeU, which diffusers has and recipes do not."""

from pytest_diffopt import Optimization, register_optimization


@register_optimization
class FreeU(Optimization):
    name = "freeu"
    draws_another_picture = True
    backbone: float = 1.2
    skip: float = 0.9

    def apply(self, pipeline):
        pipeline.enable_freeu(s1=self.skip, s2=self.skip, b1=self.backbone, b2=self.backbone)

    def verify(self, pipeline):
        blocks = pipeline.unet.up_blocks
        right = [block for block in blocks if getattr(block, "b1", None) == self.backbone]
        missing = [] if right else ["no up block of unet scales its backbone"]
        return self.state(f"{len(right)} of {len(blocks)} up blocks scale their backbone", missing)

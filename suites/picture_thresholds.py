"""How far pictures may be where the defaults are too narrow for a pipeline's weights."""

from pytest_diffopt import ImageThresholds

#: The tiny PixArt's first step is off by 0.15 in bfloat16 and 0.19 in int8, and its colours lean on a hair: measured
#: over 20 seeds of three prompts. The last step is back at 0.05 where the colour is the right one.
PIXART_ALPHA = ImageThresholds(min_psnr_db=26.0, max_error=0.7, max_flip=0.25, max_latent_error=0.25)

"""The tiny pipelines of diffusers' own fast tests, built without the hub, in processes that may crash."""

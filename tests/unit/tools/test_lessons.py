"""The lessons of the flow-matching pipelines give a denoiser exactly what its pipeline gives it."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.moving_scenes import Motion, MovingScene
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.scenes import Place, Scene, Shape
from pytest_diffopt.pipelines.tiny import build_lively_component, build_untrained, tiny_qwen_tokenizer
from tools.tiny_training import latents, training
from tools.tiny_training.curriculum import CURRICULUM
from tools.tiny_training.flows import ZImageLesson
from tools.tiny_training.latents import scaled
from tools.tiny_training.lesson import Lesson
from tools.tiny_training.reading import QwenReadingLesson
from tools.tiny_training.scenes import Scenes, draw_moving_scenes
from tools.tiny_training.text import qwen_output, umt5_hidden
from tools.tiny_training.videos import VideoAutoencoderLesson, VideoReadingLesson, WanLesson

IMAGES = [
    Scene(shape=Shape.CIRCLE, color="red", background="blue"),
    Scene(shape=Shape.CROSS, color="white", background="green", place=Place.LEFT),
]
VIDEOS = [
    MovingScene(shape=Shape.CIRCLE, color="red", background="blue"),
    MovingScene(shape=Shape.CROSS, color="white", background="green", motion=Motion.LEFT),
]
BOTH = torch.arange(2)
NEW = 7
# Z-Image uses the hidden states before the last layer, and pads no image of this size.
UNUSED = {
    "z-image-text-encoder": ("layers.2.", "norm.weight"),
    "z-image-transformer": ("x_pad_token",),
}
USED_BY_Z_IMAGE = ("z-image-vae", "z-image-text-encoder")
USED_BY_WAN = ("wan-vae", "wan-text-encoder")


def tiny(name: str) -> Any:
    """Build a tiny pipeline."""
    return build_pipeline(find_pipeline(name), Scale.TINY).pipeline


def seeded() -> torch.Generator:
    """Return a generator."""
    return torch.Generator().manual_seed(0)


def ready(lesson: Any, scenes: list[Any]) -> Any:
    """Return a lesson whose training images are not drawn."""
    lesson.scenes = Scenes(scenes=scenes, images=torch.empty(0))
    lesson.encoded = {}
    return lesson


def predicted_by(lesson: Any, pipeline: Any, noisy: torch.Tensor, times: torch.Tensor) -> tuple[list[str], Any]:
    """Return the prompts of a step of training, and what the pipeline's models predict there."""
    names = (lesson.name, *lesson.uses)
    models = dict(zip(names, (pipeline.transformer, pipeline.vae, pipeline.text_encoder), strict=True))
    with torch.no_grad():
        return lesson.prompts(BOTH, seeded()), lesson.predict(models, noisy, times, BOTH, seeded())


@pytest.mark.parametrize("lesson", CURRICULUM[-NEW:], ids=lambda lesson: lesson.name)
def test_a_lesson_trains_its_component_from_begin_to_end(
    lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps change every weight that the pipeline uses, and the result can be shipped."""
    shipped: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(training, "build_tiny_component", build_lively_component)
    monkeypatch.setattr(latents, "provenance", lambda: defaultdict(lambda: {"sha256": "0" * 64}))
    monkeypatch.setattr(training, "ship", lambda _, model, **__: shipped.update(model.state_dict()))
    torch.manual_seed(training.SEED)
    before = build_untrained(lesson.name).state_dict()
    training.teach(replace(lesson, steps=2, batch_size=2, number_of_scenes=8, starts_from=""), cache=tmp_path)
    same = [name for name, value in before.items() if torch.equal(value, shipped[name])]

    assert all(value.isfinite().all() for value in shipped.values())
    assert shipped.keys() == before.keys()
    assert [name for name in same if not name.startswith(UNUSED.get(lesson.name, ()))] == []


def test_z_image_learns_the_velocity_that_its_pipeline_subtracts() -> None:
    """One step from pure noise ends at the noise minus the predicted velocity."""
    lesson = ready(ZImageLesson(name="z-image-transformer", uses=USED_BY_Z_IMAGE), IMAGES)
    pipeline, noise = tiny("z-image"), torch.randn(2, 4, 8, 8, generator=seeded())
    prompts, velocity = predicted_by(lesson, pipeline, noise, torch.ones(2))
    options = {"height": 32, "width": 32, "guidance_scale": 0.0, "max_sequence_length": 64}
    drawn = pipeline(prompt=prompts, latents=noise, num_inference_steps=1, output_type="latent", **options).images

    torch.testing.assert_close(drawn, noise - velocity)


def test_wan_learns_what_its_transformer_predicts_in_the_pipeline() -> None:
    """The pipeline's call of the transformer and the lesson's return the same."""
    lesson = ready(WanLesson(name="wan-transformer", uses=USED_BY_WAN), VIDEOS)
    pipeline, noise, seen = tiny("wan-t2v-1.3b"), torch.randn(2, 16, 3, 4, 4, generator=seeded()), []
    handle = pipeline.transformer.register_forward_hook(
        lambda _, __, given, output: seen.append((given["timestep"], output[0])), with_kwargs=True
    )
    call = dict(find_pipeline("wan-t2v-1.3b").inputs(Scale.TINY)) | {"num_inference_steps": 1, "guidance_scale": 1.0}
    pipeline(**call | {"prompt": lesson.prompts(BOTH, seeded()), "latents": noise, "output_type": "latent"})
    handle.remove()
    [(timestep, expected)] = seen
    _, predicted = predicted_by(lesson, pipeline, noise, timestep / 1000)

    torch.testing.assert_close(predicted, expected)


def test_the_second_transformer_of_wan_learns_only_the_times_below_the_boundary() -> None:
    """The pipeline does not call it for more noise."""
    times: list[torch.Tensor] = []

    class Noted(WanLesson):
        def predict(self, models: Any, noisy: torch.Tensor, timesteps: torch.Tensor, *_: Any) -> Any:  # noqa: ARG002
            times.append(timesteps)
            return noisy

    for highest in (1.0, 0.875):
        lesson = Noted(name="wan-transformer-2", highest_time=highest)
        lesson.latents = torch.zeros(200, 16, 3, 4, 4)
        lesson.loss({}, torch.arange(200), seeded())

    assert times[0].max() > 0.95
    assert 0.8 < times[1].max() < 0.875


def test_the_hidden_states_of_captions_are_the_pipelines() -> None:
    """Those of Qwen3 without padding, those of UMT5 with zeros after the prompt."""
    captions = [scene.caption for scene in IMAGES]
    images, videos = tiny("z-image"), tiny("wan-t2v-1.3b")
    with torch.no_grad():
        output, mask = qwen_output(images.text_encoder, captions)
        hidden, _ = umt5_hidden(videos.text_encoder, captions)
        by_qwen, _ = images.encode_prompt(list(captions), do_classifier_free_guidance=False, max_sequence_length=64)
        by_umt5, _ = videos.encode_prompt(captions, do_classifier_free_guidance=False, max_sequence_length=32)

    for expected, states, used in zip(by_qwen, output.hidden_states[-2], mask, strict=True):
        torch.testing.assert_close(states[used], expected)
    torch.testing.assert_close(hidden, by_umt5)
    assert len(by_qwen[0]) < len(by_qwen[1])


def test_qwen_learns_to_encode_a_prompt_in_the_tokens_after_it() -> None:
    """Its attention is causal: earlier tokens have not seen all of the prompt."""
    lesson, encoder = QwenReadingLesson(name="z-image-text-encoder"), tiny("z-image").text_encoder
    captions = [scene.caption for scene in IMAGES]
    [(_, _, after)] = lesson.states(encoder, captions, seeded())
    tokenizer = tiny_qwen_tokenizer()
    messages = [[{"role": "user", "content": caption}] for caption in captions]
    prompts = [tokenizer.apply_chat_template(one, tokenize=False, add_generation_prompt=True) for one in messages]
    ids = tokenizer(prompts, padding=True, return_tensors="pt").input_ids

    assert [tokenizer.decode(row[where]) for row, where in zip(ids, after, strict=True)] == [
        "<|im_end|>\n<|im_start|>assistant\n"
    ] * 2


@pytest.mark.parametrize(
    ("lesson", "scenes", "encoder"),
    [
        (QwenReadingLesson(name="encoder", learning_rate=1e-2), IMAGES, lambda: tiny("z-image").text_encoder),
        (VideoReadingLesson(name="encoder", learning_rate=1e-2), VIDEOS, lambda: tiny("wan-t2v-1.3b").text_encoder),
    ],
    ids=["Qwen3", "UMT5"],
)
def test_probes_learn_to_predict_two_prompts(lesson: Lesson, scenes: list[Any], encoder: Any) -> None:
    """The encoder and its probes are trained together, and the loss halves in a few steps."""
    lesson.scenes = Scenes(scenes=scenes, images=torch.empty(0))
    models = {"encoder": encoder().train()}
    models |= lesson.helpers(models)
    parameters = [parameter for model in models.values() for parameter in model.parameters()]
    optimizer, losses = torch.optim.AdamW(parameters, lr=lesson.learning_rate), []
    for _ in range(20):
        loss = lesson.loss(models, BOTH, seeded())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())

    assert losses[-1] < losses[0] / 2


def test_the_latents_of_videos_are_rescaled_to_the_published_ones_and_decoded_as_before() -> None:
    """Scaled as in the pipeline they have a mean of zero for each channel and a standard deviation of one."""
    lesson, vae = VideoAutoencoderLesson(name="wan-vae"), tiny("wan-t2v-1.3b").vae
    lesson.scenes = draw_moving_scenes(6, seed=0)
    videos = lesson.scenes.image(torch.arange(6))
    with torch.no_grad():
        before = vae.encode(videos).latent_dist
        decoded = vae.decode(before.mean).sample
        lesson.finish({"wan-vae": vae})
        after = vae.encode(videos).latent_dist
        rescaled = scaled(vae, after.mean)

        torch.testing.assert_close(vae.decode(after.mean).sample, decoded, atol=1e-4, rtol=1e-4)
    deviation = (before.mean - before.mean.mean((0, 2, 3, 4), keepdim=True)).std()
    published = torch.tensor(vae.config.latents_std)[:, None, None, None]
    torch.testing.assert_close(after.std / published, before.std / deviation, atol=1e-4, rtol=1e-4)
    assert rescaled.mean((0, 2, 3, 4)).abs().max() < 1e-4
    assert rescaled.std().item() == pytest.approx(1, abs=0.01)


def test_a_step_of_the_video_autoencoder_has_few_long_pieces_or_many_frames() -> None:
    """The encoder takes the first frame alone and then four at a time: pieces have one, five or nine frames."""
    lesson, generator = VideoAutoencoderLesson(name="wan-vae"), seeded()
    lesson.scenes = draw_moving_scenes(6, seed=0)
    shapes = {tuple(lesson.images(torch.arange(12) % 6, generator).shape[:3]) for _step in range(20)}

    assert shapes == {(12, 3, 1), (3, 3, 5), (2, 3, 9)}


def test_the_encoder_stays_as_it_is_when_the_decoder_is_trained() -> None:
    """Denoisers that were trained on its latents stay valid."""
    lesson, vae = VideoAutoencoderLesson(name="wan-vae", decoder_only=True), tiny("wan-t2v-1.3b").vae
    lesson.scenes = draw_moving_scenes(6, seed=0)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    lesson.loss({"wan-vae": vae}, torch.arange(6), seeded()).backward()  # type: ignore[no-untyped-call]
    lesson.finish({"wan-vae": vae})
    learned = {name.partition(".")[0] for name, value in vae.named_parameters() if value.grad is not None}

    assert learned == {"decoder", "post_quant_conv"}
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items())

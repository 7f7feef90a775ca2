"""What does the work of `jaxedit edit`: a run, a Stable Diffusion 1.x, or weights of ours."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxedit.commands.edit_options import Options
from jaxedit.errors import UserError

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Editor:
    """A network that edits.

    Attributes:
      applier: one of its tasks, see `methods.iedit.editing.task`; compiled once per size.
      text: its text encoder, see `methods.iedit.text_states`.
      steps: of its sampler.
      finder: of regions, None where none is named.
    """

    applier: Callable[..., Mapping[str, np.ndarray]]
    text: Any
    steps: int
    finder: Any = None

    @property
    def trained_on(self) -> int:
        """Side of the pictures that it was trained on, in pixels."""
        return self.applier.task.trained_on

    def __call__(
        self, picture: np.ndarray, mask: np.ndarray, options: Options, seed: int
    ) -> np.ndarray:
        """Returns the edited picture, float32 (h, w, 3) in [-1, 1].

        Args:
          picture: float32 (h, w, 3) in [-1, 1].
          mask: bool (h, w), True where it may change.
          options: of the edit.
          seed: of what is drawn.
        """
        inputs: dict[str, Any] = {
            "image": picture, "mask": mask[..., None].astype(np.float32),
            "prompt": options.prompt, "negative": options.negative, "seed": seed,
        }
        inputs |= {name: getattr(options, name) for name in ("strength", "guidance")
                   if getattr(options, name) is not None}
        if options.start == "ddim":
            inputs["caption"] = options.caption
        return self.applier(**inputs)["image"]

    def find(self, image: np.ndarray, region: str) -> tuple[np.ndarray, float]:
        """Returns where a picture shows what a phrase names, bool (H, W), and how sure that is.

        `image` is uint8 (H, W, 3); the second is the largest probability of a pixel.
        """
        from jaxedit.layers.convolution import formulation
        from jaxedit.methods.iedit import region as regions

        with formulation.preferring("auto"):  # no method holds the segmenter
            (probabilities,) = self.finder.probabilities([image], [region])
        return regions.binary(probabilities), float(probabilities.max())


def load(
    options: Options,
    *,
    run: pathlib.Path | None = None,
    weights: str | None = None,
    step: str | None = None,
    trust_code: bool = False,
    tokenizer: pathlib.Path | None = None,
    precision: str = "float32",
    bucket: int | None = None,
    say: Say = print,
) -> Editor:
    """Returns what is to edit.

    Args:
      options: of the edits; start, steps and segmenter count here.
      run: a run directory; or
      weights: a folder, a file or a name.
      step, trust_code: as of `applier.from_run`.
      tokenizer: the folder of CLIP's, for `weights` in one file.
      precision: what the UNet of a published model computes in.
      bucket, say: as of `applier.Applier`.

    Raises:
      UserError: it cannot be read, is another network, or has no so many steps.
    """
    from jaxedit.methods.iedit import editing
    from jaxedit.run import sharding

    sharding.enable_compilation_cache()
    how = {"say": say, "bucket": bucket or 1}  # the task itself rounds sizes up
    task = next(name for name, start in editing.TASKS.items() if start == options.start)
    published = None if run is not None else _published(str(weights), tokenizer)
    if published is not None:
        applier, text, steps = _of_published(published, options, precision, how)
    else:
        if precision != "float32":
            raise UserError("--precision is for the published Stable Diffusion; a run computes in "
                            "what it was trained in.")
        applier, text, steps = _of_method(task, options, run, weights, step, trust_code, how)
    finder = None
    if options.segmenter is not None:
        from jaxedit.methods.iedit import encoders

        finder = encoders.segmenter_of_folder(options.segmenter, batch=1)
    return Editor(applier, text, steps, finder)


def _published(weights: str, tokenizer: pathlib.Path | None) -> Any:
    """Returns a published model, None where `weights` are of ours."""
    from jaxedit.methods.iedit import stable_diffusion
    from jaxedit.weights import manifest, shipped

    place = pathlib.Path(weights)
    if tokenizer is not None and not place.is_file():
        raise UserError("--tokenizer is for --weights that are one file; others have their own.")
    if place.is_dir():
        return stable_diffusion.load(place)
    if place.is_file():
        if tokenizer is None:
            raise UserError(f"{place} is a model in one file, which has no tokenizer: add "
                            "--tokenizer DIRECTORY, CLIP's with vocab.json and merges.txt.")
        return stable_diffusion.load_file(place, tokenizer)
    if place.suffix in (".ckpt", ".safetensors") or len(place.parts) > 1 or weights.endswith("/"):
        raise UserError(f"--weights {weights}: there is no such folder or file.")
    if isinstance(manifest.get(weights), shipped.Shipped):
        return None
    return stable_diffusion.load_converted(weights)


def _of_published(published: Any, options: Options, precision: str, how: Mapping[str, Any]):
    import jax.numpy as jnp

    from jaxedit.apply import applier
    from jaxedit.methods.iedit import stable_diffusion

    steps = options.steps or stable_diffusion.STEPS
    published.schedule.timesteps(steps)  # refuses what cannot be
    predict = functools.partial(
        published.predict, steps=steps, start=options.start,
        dtype={"float32": jnp.float32, "bfloat16": jnp.bfloat16}[precision],
    )
    task = published.task(options.start)
    made = applier.Applier(predict, published.variables, task, convolution="auto", **how)
    return made, published.text, steps


def _of_method(
    task: str, options: Options, run: pathlib.Path | None, weights: str | None, step: str | None,
    trust_code: bool, how: Mapping[str, Any],
):
    from jaxedit.apply import applier

    changes = {} if options.steps is None else {"sample.steps": options.steps}
    if run is not None:
        made = applier.from_run(run, task, step=step, trust_code=trust_code, changes=changes, **how)
    else:
        made = applier.from_weights(weights, task, changes=changes, **how)
    return made, made.method.text, made.method.config.sample.steps


def check(editor: Editor, options: Options, say: Say) -> None:
    """Tells what the networks will do badly.

    Raises:
      UserError: what they cannot do: a text is too long, of which the message says what would be
        cut, or the strength is less than a step.
    """
    from jaxedit.methods.iedit import editing

    steps = editor.steps
    for given in (options.prompt, options.negative, options.caption):
        editor.text.checked([given])
    default = lambda name: editor.applier.task.inputs[name].default
    strength = default("strength") if options.strength is None else options.strength
    if int(strength * steps + 1e-4) < 1:
        raise UserError(f"A strength of {strength:g} is less than one of {steps} steps, so nothing "
                        f"would change. Take at least {1 / steps:.2g}.")
    guidance = default("guidance") if options.guidance is None else options.guidance
    if options.start == "ddim" and guidance > editing.LARGEST_GUIDANCE:
        say(f"warning: --start ddim inverts with guidance 1; under guidance {guidance:g} the "
            f"result drifts from the photo. Up to {editing.LARGEST_GUIDANCE:g} does.")
    _tell_unknown(editor.text.unknown(options.prompt), "the network", say)
    if options.region is not None:
        editor.finder.text.checked([options.region])
        _tell_unknown(editor.finder.text.spelled(options.region), "the segmenter", say)


def _tell_unknown(words: list[str], who: str, say: Say) -> None:
    if words:
        shown = ", ".join(map(repr, words))
        say(f"warning: {who} has no word for {shown}, and reads letters there: it may be ignored.")

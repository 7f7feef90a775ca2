"""What every configuration shares: the fields that the core reads, with neutral values."""

from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from jaxedit.weights import shipped


def base() -> ConfigDict:
    """Returns a new configuration with the core's fields; a paper adds its own groups."""
    config = ConfigDict()
    config.method = ""  # folder of jaxedit/methods, or a dotted module of your own
    config.preset = ""  # recorded with the run

    config.train = ConfigDict()
    config.train.steps = 1_000  # optimizer steps of the stage
    config.train.batch_size = 8  # samples per step, over all devices and processes
    config.train.seed = 0  # parameters, data order and augmentation
    config.train.accumulate = 1  # micro-batches per step, to save memory
    config.train.log_every = 50  # steps between rows of metrics.jsonl
    config.train.evaluate_every = 500  # steps between evaluations; 0: only at the end
    config.train.checkpoint_every = 500  # steps between checkpoints

    config.stages = ()  # ({"name", "overrides": {...}, "start": ((from, to), ...)}, ...); () is one

    config.checkpoint = ConfigDict()
    config.checkpoint.keep_last = 2
    config.checkpoint.keep_best = 1

    config.evaluate = ConfigDict()
    config.evaluate.source = ""  # "" is the training source's evaluation part
    config.evaluate.split = ""  # train | eval | all; "": eval of the training source, else all
    config.evaluate.compare = ()  # names of earlier stages whose networks are measured beside
    config.evaluate.stages = ()  # stages measured at the end; (): all with something to measure
    config.evaluate.batch_size = 8
    config.evaluate.limit = 0  # samples of the final evaluation; 0 is all of them
    config.evaluate.limit_in_training = 32  # samples of the evaluations during training
    config.evaluate.seed = 1234  # masks and other draws; the same for every system compared
    config.evaluate.baselines = True  # measure the baselines in the final evaluation
    config.evaluate.pictures = 8  # samples in the picture grids

    config.data = ConfigDict()
    config.data.source = "photos"  # photos | folder:PATH | ... see README; A+B joins, A+3*B repeats
    config.data.threads = 2  # read threads in this process; 0 reads when asked
    config.data.workers = 0  # worker processes; 0 reads with threads alone
    config.data.prefetch = 4  # batches read ahead

    config.layers = ConfigDict()
    # auto (on CPU, the formulation that pays for the shape) | xla (XLA's own everywhere); GPU and
    # TPU have XLA's own either way. JAXEDIT_CONVOLUTION in the environment goes before it.
    config.layers.convolution = "auto"

    config.sharding = ConfigDict()
    config.sharding.mode = "jit"  # jit (one program over a mesh) | pmap (one replica per device)
    config.sharding.parameters = "replicated"  # replicated | fsdp (largest axis over the mesh)

    config.precision = ConfigDict()
    config.precision.compute = "float32"  # float32 | bfloat16; parameters stay float32
    config.remat = False  # recompute block activations in the backward pass, to save memory
    return config


def changes(base: dict, other: dict) -> dict:
    """Returns what `other` has otherwise than `base`, group by group, beside the stages."""
    found = {}
    for key, value in other.items():
        if isinstance(value, dict):
            found |= {key: inner} if (inner := changes(base[key], value)) else {}
        elif key != "stages" and value != base[key]:
            found[key] = value
    return found


def merged(base: dict, over: dict) -> dict:
    """Returns nested dicts put together, those of `over` going before."""
    both = dict(base)
    for key, value in over.items():
        inner = isinstance(value, dict) and isinstance(base.get(key), dict)
        both[key] = merged(base[key], value) if inner else value
    return both


def one_stage(config: ConfigDict, name: str, ours: Mapping[str, str]) -> ConfigDict:
    """Returns `config` with one of its stages alone; `ours` as of `with_weights`."""
    stages = with_weights(config.stages, ours)
    config.stages = tuple(stage for stage in stages if stage["name"] == name)
    return config


def with_weights(stages: Sequence[dict], ours: Mapping[str, str]) -> tuple[dict, ...]:
    """Returns the stages that are left where the results of some come with jaxedit.

    Args:
      stages: of a run from nothing.
      ours: the name of a stage -> the weights that take its place.
    """

    def source(text: str) -> str:
        stage, _, path = text.partition(":")
        return f"weights:{ours[stage]}:{shipped.inside(path)}" if stage in ours else text

    return tuple(
        {**stage, "start": tuple((source(one), to) for one, to in stage.get("start", ()))}
        for stage in stages if stage["name"] not in ours
    )

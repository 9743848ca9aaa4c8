"""The run document: one suite on one target with one method and one seed, every raw figure and its origin.

The report and the figures CSV are rendered from run documents alone. Sizes are bytes, ticks are in
`TickSeries.unit`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

Kind = Literal["measured", "simulated", "analytic", "published"]
"""measured: read from a device. simulated: read from an emulator (instructions). analytic: from the plan."""


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


class Provenance(Document):
    """Where the figures come from. A figure without provenance does not exist."""

    started_at: str
    """ISO 8601, UTC."""
    duration_seconds: float
    trainbench_version: str
    git_revision: str | None
    git_dirty: bool | None
    host: str
    python: str
    toolchain: str
    compiler_flags: tuple[str, ...]
    versions: dict[str, str]
    """Emulator, pyOCD, NumPy and the like."""
    model_name: str
    model_digest: str
    dataset_name: str
    dataset_description: str
    dataset_digest: str
    """Of pictures and index."""
    dataset_index: str = ""
    """Of classes, labels, names and split alone: equal for the same pictures at any size."""
    image_size: int = 0
    """Height and width of the pictures, pixels; 0 in documents from before it was recorded."""
    elf_digest: str
    plan_digest: str


class PlannedBuffer(Document):
    """Arena bytes [offset, offset + size) in operators [first, last); a buffer may have several extents."""

    name: str
    offset: int
    size: int
    first: int
    last: int
    what: Literal["input", "activation", "mask", "gradient", "scratch"]


class PlannedOperator(Document):
    """One operator in execution order."""

    name: str
    kind: str
    phase: Literal["forward", "backward", "update"]
    layer: str
    macs: int
    live_bytes: int
    """Arena bytes live while it runs."""


class PlannedRegion(Document):
    """Operators [first, last) run together, `strip` output rows at a time, or `strip` channels."""

    kind: Literal["rows", "channels"] = "rows"
    """Documents from before there were groups of channels do not say."""
    first: int
    last: int
    strip: int


class MemoryPlan(Document):
    arena_bytes: int
    lower_bound: int
    gap_bytes: int
    order: str
    """How operators and buffers were ordered."""
    certificate: str = ""
    """What is proved of how good the plan is."""
    buffers: tuple[PlannedBuffer, ...]
    operators: tuple[PlannedOperator, ...]
    regions: tuple[PlannedRegion, ...] = ()


class SchemeSummary(Document):
    """What the method updates."""

    method: str
    """Name of the scheme: full, last-layer, bias-only:12, sparse-49kb, …"""
    description: str
    updated_bias_layers: int
    updated_weight_layers: tuple[str, ...]
    """e.g. 'conv24 r=0.25'"""
    trainable_values: int
    rounding: Literal["nearest", "stochastic", "extended"]
    gradient: Literal["f32", "i16"] = "f32"
    """Of feature maps. Documents from before there was a choice do not say: theirs are float32."""
    learning_rate: float
    accumulate: int = 1
    quantization_aware_scaling: bool = True
    """Documents from before this was recorded are all of trainers with it."""
    rule: Literal["sgd", "momentum", "adam", "lars"] = "sgd"
    momentum: float = 0.9
    """Of the rules that have one."""
    convolution_rate: float = 1.0
    """Learning rate of convolutions over that of the classifier."""
    precision: Literal["int8", "fp32"] = "int8"
    extra_memory_analytic: int
    """The paper's analytic rule, bytes."""


class Sram(Document):
    """Bytes of SRAM, by the definitions of docs/measuring.md. kind: how peak was obtained."""

    kind: Kind
    peak: int
    static: int
    state: int
    arena: int
    arena_touched: int
    stack: int
    agent: int
    untouched_outside: bool
    """True when painting found no byte touched outside plan, stack, static, state and agent."""
    budget_part: str | None = None
    budget_bytes: int | None = None
    lacking_bytes: int = 0
    """By how much peak misses the budget; 0 when it fits."""


class TickSeries(Document):
    """Raw ticks of one kind of call, in order."""

    unit: Literal["instructions", "cycles", "nanoseconds"]
    kind: Kind
    values: tuple[int, ...]


class EnergyWindow(Document):
    """What the board took during `steps` training steps. Nothing is subtracted."""

    joules: float
    seconds: float
    steps: int = 1


class Energy(Document):
    """Energy of training steps, each a window of the current that an instrument recorded."""

    kind: Kind
    instrument: str
    """Name and serial number."""
    supply_volts: float
    """Constant, as set or as the user says: the current alone is recorded."""
    sample_rate: float
    """Samples a second."""
    marks: Literal["digital", "host-clock"]
    """digital: a pin of the board is high during a step. host-clock: a window begins when the step is asked
    for and ends when its reply is here, so that it holds the serial link's time too."""
    windows: tuple[EnergyWindow, ...]
    idle_watts: float
    """Mean power while the firmware waits for a request; not subtracted."""
    idle_seconds: float


class Clock(Document):
    """Of a board whose ticks are cycles: what its clock registers came to when they were read back."""

    core_hz: int
    usart_hz: int
    registers: dict[str, str]
    """Name → value, hexadecimal."""


class OperatorTicks(Document):
    """Median ticks of one operator in a profiling build."""

    operator: str
    ticks: int


class Accuracy(Document):
    """Held-out top-1. Predictions are per test image, in dataset order, so that methods compare paired."""

    test_labels: tuple[int, ...]
    predicted_before: tuple[int, ...]
    predicted_after: tuple[int, ...]
    classes: tuple[str, ...]
    train_images: int
    epochs: int
    losses: tuple[float, ...]
    """Training loss of every step."""
    curve: tuple[tuple[int, float], ...]
    """(step, held-out accuracy in 0..1)"""
    computed_on: str
    """Target that ran the training whose accuracy this is."""


class Digests(Document):
    """SHA-256 of the trainable state after n steps."""

    steps: int
    state: str


class Sections(Document):
    """ELF section sizes of the trainer's firmware, bytes."""

    text: int
    rodata: int
    data: int
    bss: int
    flash: int
    """text + rodata + data initializers."""


class ForeignTrainer(Document):
    """A trainer that trainbench did not generate, as it names itself in `trainer_info`.

    There is no plan of it, and of the scheme only method, description and learning rate mean anything.
    """

    network: str
    scheme: str
    input_size: int
    """Height and width of its pictures, pixels."""
    input_channels: int
    classes: int


class ReferenceFigure(Document):
    """What somebody else's trainer needs for the same work: network, scheme, classes, core."""

    figure: str
    """As in `harness.results.figures`: peak_sram, step_ticks."""
    value: float
    unit: str
    source: str


class Attempt(Document):
    """A measurement that a transport error ended, and that was begun again."""

    at: str
    """When it ended, ISO 8601, UTC."""
    error: str
    recovery: str = ""
    """What was done to the board before it was given back, such as a power cycle; empty: nothing."""


class RunDocument(Document):
    schema_version: Literal[1] = 1
    suite: str
    target: str
    target_title: str
    core: str
    method: str
    seed: int
    status: Literal["done", "not-run", "failed"]
    reason: str = ""
    """Why it was not run or failed, one sentence; empty when done."""
    failure: Literal["", "trainer", "infrastructure"] = ""
    """Of a failed run: whether what was measured is at fault, or the way to it. Old documents do not say."""
    retries: tuple[Attempt, ...] = ()
    """Attempts before this one, in order. With any of them the result is unstable."""
    provenance: Provenance
    scheme: SchemeSummary
    foreign: ForeignTrainer | None = None
    """None: a trainer that trainbench compiled."""
    plan: MemoryPlan | None = None
    sections: Sections | None = None
    sram: Sram | None = None
    step_ticks: TickSeries | None = None
    predict_ticks: TickSeries | None = None
    operator_ticks: tuple[OperatorTicks, ...] = ()
    energy: Energy | None = None
    clock: Clock | None = None
    """None: ticks of an emulator or of the host, which are no cycles."""
    """None: no meter."""
    digests: tuple[Digests, ...] = ()
    accuracy: Accuracy | None = None
    references: tuple[ReferenceFigure, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: dict[str, str] = Field(default_factory=dict)

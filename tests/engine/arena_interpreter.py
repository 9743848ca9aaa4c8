"""Runs a training step with every arena tensor at its planned offset in one bytearray, as the C does.

Shares nothing with the planner or with `engine.liveness` but the offsets: what they get wrong shows as a
clobbered operand. A region runs as one step: what it keeps and its scratch are written over, its results are
stored at the end, over the input where the region says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from small_networks import image, with_classifier

from engine import channel_groups
from engine.builder import numpy_dtype
from engine.channel_groups import ChannelRegion, split_tensors
from engine.graph import Array, DType, Graph, Module, Operator, Role, Tensor
from engine.interpreter import Interpreter
from engine.liveness import AnyRegion, group_name, lifetimes, scratch_name, window_name
from engine.lowering import IMAGE, LABEL, LOGITS, LOSS
from engine.operators import StepContext, kind_of, reference
from engine.operators.fixed_point import pack_mask, unpack_mask
from engine.plan import Buffer, plan_buffers
from engine.streaming import Region, chain_input, work_out

Range = tuple[int, int]


class ClobberedError(AssertionError):
    """A buffer does not hold any more what was written to it, or an operator writes over what it reads."""


class ArenaInterpreter:
    def __init__(
        self,
        module: Module,
        offsets: Mapping[str, int],
        arena_bytes: int,
        regions: Sequence[AnyRegion] = (),
    ) -> None:
        self.graph: Graph = module.graph
        self._regions = {region.first: region for region in regions}
        self.arena = bytearray(arena_bytes)
        self.state: dict[str, Array] = {}
        self._module, self._offsets = module, offsets

    def train_step(
        self, interpreter: Interpreter, image: Array, label: int, step: StepContext
    ) -> dict[str, Array]:
        """One step from the interpreter's state; the graph's outputs. `self.state` is the state after it."""
        graph = self.graph
        self.state = {name: data.copy() for name, data in interpreter.state.items()}
        self.arena[:] = b"\x55" * len(self.arena)
        written: dict[str, Array] = {IMAGE: image}
        self._store(graph.tensor(IMAGE), image)
        scalars: dict[str, Array] = {LABEL: np.asarray(label, np.int32)}
        streamed_until = 0
        for index, op in enumerate(graph.operators):
            region = self._regions.get(index)
            if region is not None:
                streamed_until = region.last
            if isinstance(region, Region):
                self._run_region(region, written, scalars, step)
            elif isinstance(region, ChannelRegion):
                self._run_groups(region, written, scalars, step)
            if index < streamed_until:
                continue
            self._check_operands(op)
            operands = {role: self._read(op, name, written, scalars) for role, name in op.inputs}
            results = kind_of(op).evaluate(op, graph, operands, step)
            self._scribble(op)
            for role, name in op.outputs:
                tensor = graph.tensor(name)
                written[name] = results[role]
                if tensor.in_arena:
                    self._store(tensor, results[role])
                else:
                    scalars[name] = results[role]
            self._update(op, results)
        return {name: self._fetch(graph.tensor(name), scalars) for name in graph.outputs}

    def _update(self, op: Operator, results: Mapping[str, Array]) -> None:
        for role in kind_of(op).mutates:
            state = op.find_input(role)
            if state is not None and role in results:
                self.state[state] = results[role]

    def _run_groups(
        self,
        region: ChannelRegion,
        written: dict[str, Array],
        scalars: dict[str, Array],
        step: StepContext,
    ) -> None:
        """All of what the region reads and writes lies apart: it is read until the last group is through."""
        graph, grouped = self.graph, channel_groups.work_out(self.graph, region)
        operators = graph.operators[region.first : region.last]
        split = split_tensors(graph, region)
        reads = {name for op in operators for name in self._arena_operands(op.inputs)} - set(split)
        results = {name for op in operators for name in self._arena_operands(op.outputs)} - set(split)
        ranges = {name: self._range(graph.tensor(name)) for name in (*reads, *results)}
        if grouped.sums is not None:
            name, size = grouped.sums
            assert results == {name}
            ranges[name] = (ranges[name][0], ranges[name][0] + size)
        kept = {}
        for buffer in grouped.buffers:
            starts = {self._offsets[group_name(tensor)] for tensor in buffer.tensors}
            assert len(starts) == 1  # masked_scale works in place
            kept[buffer.tensors[0]] = (min(starts), min(starts) + buffer.bytes)
        start = self._offsets.get(scratch_name(operators[0]), 0)
        kept["scratch"] = (start, start + grouped.scratch_bytes)
        self._require_apart({**ranges, **kept}, operators[0].name)
        inside: dict[str, Array] = {}
        for op in operators:
            operands = {
                role: inside[name] if name in inside else self._read(op, name, written, scalars)
                for role, name in op.inputs
            }
            found = kind_of(op).evaluate(op, graph, operands, step)
            inside.update({name: found[role] for role, name in op.outputs})
            self._update(op, found)
        for low, high in (*(ranges[name] for name in results), *kept.values()):
            self.arena[low:high] = b"\xaa" * (high - low)
        for name, data in inside.items():
            if name in results:
                written[name] = data
                self._store(graph.tensor(name), data)
            elif name not in split:
                scalars[name] = data

    def _require_apart(self, ranges: Mapping[str, Range], where: str) -> None:
        names = list(ranges)
        for place, one in enumerate(names):
            low, high = ranges[one]
            assert 0 <= low <= high <= len(self.arena)
            for other in names[:place]:
                if max(low, ranges[other][0]) < min(high, ranges[other][1]):
                    raise ClobberedError(f"region of {where} keeps {one} over {other}")

    def _run_region(
        self,
        region: Region,
        written: dict[str, Array],
        scalars: dict[str, Array],
        step: StepContext,
    ) -> None:
        graph, streamed = self.graph, work_out(self.graph, region)
        operators = graph.operators[region.first : region.last]
        result = operators[-1].output("y")
        source = chain_input(operators[0])
        inside: dict[str, Array] = {}
        masks: list[str] = []
        for op in operators:
            operands = {
                role: inside[name] if name in inside else self._read(op, name, written, scalars)
                for role, name in op.inputs
            }
            results = kind_of(op).evaluate(op, graph, operands, step)
            for role, name in op.outputs:
                inside[name] = results[role]
                if role == "mask":
                    masks.append(name)
        ranges = {name: self._range(graph.tensor(name)) for name in (result, *masks)}
        for window in streamed.windows:
            start = self._offsets[window_name(window.tensor)]
            ranges[window_name(window.tensor)] = (start, start + window.bytes)
        start = self._offsets.get(scratch_name(operators[0]), 0)
        ranges["scratch"] = (start, start + streamed.scratch_bytes)
        ranges[source] = self._range(graph.tensor(source))
        names = list(ranges)
        for place, one in enumerate(names):
            low, high = ranges[one]
            assert 0 <= low <= high <= len(self.arena)
            for other in names[:place]:
                shared = max(low, ranges[other][0]) < min(high, ranges[other][1])
                over_input = {one, other} == {source, result}
                if shared and not (over_input and ranges[result][0] - ranges[source][0] == streamed.distance):
                    raise ClobberedError(f"region of {operators[0].name} keeps {one} over {other}")
            if one not in (source, result, *masks):
                self.arena[low:high] = b"\xaa" * (high - low)
        for name in (result, *masks):
            written[name] = inside[name]
            self._store(graph.tensor(name), inside[name])

    def _range(self, tensor: Tensor) -> Range:
        start = self._offsets[tensor.name]
        return start, start + tensor.bytes

    def _arena_operands(self, operands: Iterable[tuple[str, str]]) -> list[str]:
        return [name for _, name in operands if self.graph.tensor(name).in_arena]

    def _check_operands(self, op: Operator) -> None:
        """What an operator writes lies apart from what it reads, save where the kind allows one place."""
        graph = self.graph
        reads = {name: self._range(graph.tensor(name)) for name in self._arena_operands(op.inputs)}
        writes = {name: self._range(graph.tensor(name)) for name in self._arena_operands(op.outputs)}
        scratch = self._scratch(op)
        if scratch is not None:
            writes["scratch"] = scratch
        allowed = {(op.find_input(a), op.find_output(b)) for a, b in kind_of(op).in_place_pairs(op, graph)}
        for out, (start, end) in writes.items():
            if not 0 <= start <= end <= len(self.arena):
                raise ClobberedError(f"{op.name} writes {out} outside the arena")
            for name, (low, high) in (*reads.items(), *((n, r) for n, r in writes.items() if n != out)):
                shared = max(start, low) < min(end, high)
                if shared and not ((name, out) in allowed and start == low and end <= high):
                    raise ClobberedError(f"{op.name} writes {out} over {name}")

    def _scratch(self, op: Operator) -> Range | None:
        size = kind_of(op).scratch_bytes(op, self.graph)
        start = self._offsets.get(scratch_name(op))
        assert (start is None) == (size == 0)
        return None if start is None else (start, start + size)

    def _scribble(self, op: Operator) -> None:
        scratch = self._scratch(op)
        if scratch is not None:
            self.arena[slice(*scratch)] = b"\xaa" * (scratch[1] - scratch[0])

    def _read(
        self, op: Operator, name: str, written: Mapping[str, Array], scalars: Mapping[str, Array]
    ) -> Array:
        tensor = self.graph.tensor(name)
        found = self._fetch(tensor, scalars)
        if tensor.in_arena and not np.array_equal(found, written[name]):
            raise ClobberedError(f"{op.name} reads {name}, which has been written over")
        return found

    def _fetch(self, tensor: Tensor, scalars: Mapping[str, Array]) -> Array:
        if tensor.role is Role.CONSTANT:
            return self._module.data[tensor.name]
        if tensor.role is Role.STATE:
            return self.state[tensor.name]
        if not tensor.in_arena:
            return scalars[tensor.name]
        raw = np.frombuffer(bytes(self.arena[slice(*self._range(tensor))]), np.uint8)
        if tensor.dtype is DType.BIT:
            return unpack_mask(raw, tensor.shape)
        return raw.view(numpy_dtype(tensor.dtype)).reshape(tensor.shape)

    def _store(self, tensor: Tensor, data: Array) -> None:
        packed = pack_mask(data) if tensor.dtype is DType.BIT else np.ascontiguousarray(data)
        assert packed.nbytes == tensor.bytes
        self.arena[slice(*self._range(tensor))] = packed.tobytes()


def step_context(learning_rate: float, seed: int, steps: int, images_per_update: int) -> StepContext:
    """As the interpreter makes it."""
    key = reference.step_key(seed, steps)
    apply = (steps + 1) % images_per_update == 0
    return StepContext(float(np.float32(learning_rate)), key, apply, images_per_update)


def quick_plan(module: Module, regions: Sequence[AnyRegion] = ()) -> tuple[dict[str, int], int]:
    """Offsets of the greedy planner alone, and the arena's size."""
    groups = lifetimes(module.graph, regions)
    plan = plan_buffers([Buffer(g.name, g.parts) for g in groups], evaluations=0)
    return {name: plan.offsets[g.name] + start for g in groups for name, start in g.tensors}, plan.peak


def assert_arena_gives_the_same(
    module: Module, steps: int = 2, accumulate: int = 1, regions: Sequence[AnyRegion] = ()
) -> None:
    offsets, arena_bytes = quick_plan(module, regions)
    interpreter = with_classifier(Interpreter(module, images_per_update=accumulate))
    interpreter.learning_rate = 0.01
    arena = ArenaInterpreter(module, offsets, arena_bytes, regions)
    size = module.graph.tensor(IMAGE).shape[0]
    for step in range(steps):
        picture, label = image(step, size), step % 3
        context = step_context(0.01, 0, step, accumulate)
        outputs = arena.train_step(interpreter, picture, label, context)
        values = interpreter.values(picture, label)
        for name in (LOGITS, LOSS):
            assert np.array_equal(outputs[name], values[name])
        for name, data in interpreter.state.items():
            assert np.array_equal(arena.state[name], data), name

"""Where state lies in SRAM and what says so: the state struct, its order, the arena."""

from __future__ import annotations

from engine.codegen.c_text import C_TYPES, identifier
from engine.graph import DType, Graph, Role, Tensor

_ALIGNMENT_OF = {DType.FLOAT32: 4, DType.INT32: 4, DType.INT16: 2, DType.UINT16: 2}


def state_order(graph: Graph) -> list[Tensor]:
    """State tensors in network order: the order of spans and of the state digest."""
    return list(graph.with_role(Role.STATE))


def state_bytes(graph: Graph) -> int:
    """sizeof the state struct: its fields sorted by alignment, so that only its end is padded."""
    total = sum(tensor.bytes for tensor in state_order(graph))
    return (total + 3) // 4 * 4


def memory_definitions(graph: Graph, arena_bytes: int) -> str:
    """C definitions of everything the trainer keeps in SRAM."""
    ordered = sorted(state_order(graph), key=lambda tensor: -_ALIGNMENT_OF.get(tensor.dtype, 1))
    fields = "\n".join(
        f"  {C_TYPES[tensor.dtype]} {identifier(tensor.name)}[{tensor.elements}]; /* {list(tensor.shape)} */"
        for tensor in ordered
    )
    return f"""#define ARENA_BYTES {arena_bytes}u

extern uint8_t trainer_arena[ARENA_BYTES];
uint8_t trainer_arena[ARENA_BYTES] __attribute__((section(".arena"), aligned(16)));

static struct {{
{fields}
}} state __attribute__((section(".state"), aligned(16)));

static float learning_rate;
static uint32_t seed;
static uint32_t steps;"""

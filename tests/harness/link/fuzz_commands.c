/* Intact frames with hostile content, and trainers that return what they should not: every frame gets exactly one
 * answer of a known kind, memory outside the declared ranges is neither read nor written, nothing is executed twice.
 *
 * Arguments: trials, seed. One line for each command: name, frames, answered, refused. Exit code 1: a rule was broken. */
#include <stddef.h>

#include "agent.h"
#include "board.h"
#include "fuzz_common.h"
#include "trainer.h"

enum { MEMORIES = 2, MEMORY_BYTES = 700, CLASSES_MOST = 256, COMMANDS = 12 };

/* Globals lie between red zones of the address sanitizer: one byte beside them is a finding. */
static uint8_t memory_a[MEMORY_BYTES], memory_b[MEMORY_BYTES];
static int8_t input[48];
static float logits[CLASSES_MOST];
static trainer_info_t info;
static char long_name[600];
static const char *span_name;
static uint32_t spans, executed, rates;
static int no_info, no_input, no_logits, no_span;

static int broken(const char *rule, uint32_t trial) {
  fprintf(stderr, "trial %u: %s\n", trial, rule);
  return 1;
}

board_range_t board_memory(uint32_t index) {
  uint8_t *starts[MEMORIES] = {memory_a, memory_b};
  board_range_t none = {0, 0};
  if (index >= MEMORIES) return none;
  board_range_t range = {(uintptr_t)starts[index], (uintptr_t)starts[index] + MEMORY_BYTES};
  return range;
}
board_range_t board_stack(void) { return board_memory(0); }
void board_measure_begin(void) {}
void board_measure_end(void) {}
uint64_t board_ticks(void) { return fuzz_u32(); }
uint32_t board_tick_unit(void) { return BOARD_NANOSECONDS; }
uint32_t board_ticks_per_count(void) { return 1; }

const trainer_info_t *trainer_info(void) { return no_info ? NULL : &info; }
void trainer_reset(uint32_t seed) {
  (void)seed;
  executed++;
}
void trainer_set_learning_rate(float learning_rate) {
  (void)learning_rate;
  rates++;
}
int8_t *trainer_input(void) { return no_input ? NULL : input; }
const float *trainer_predict(void) {
  executed++;
  return no_logits ? NULL : logits;
}
const float *trainer_logits(void) { return no_logits ? NULL : logits; }
float trainer_train_step(uint32_t label) {
  if (label >= info.classes) abort();
  executed++;
  return 0.5f;
}
uint32_t trainer_state_count(void) { return spans; }
trainer_span_t trainer_state_span(uint32_t index) {
  trainer_span_t span = {span_name, no_span ? NULL : memory_a, MEMORY_BYTES};
  if (index >= spans) abort();
  return span;
}
trainer_span_t trainer_arena_span(void) {
  trainer_span_t span = {"arena", memory_b, MEMORY_BYTES};
  return span;
}

static const char *hostile_string(void) {
  uint32_t lengths[] = {0, 3, 64, 254, 255, 256, 599};
  if (fuzz_below(8) == 0) return NULL;
  return long_name + (sizeof long_name - 1 - lengths[fuzz_below(7)]);
}

static uint32_t hostile_u32(void) {
  static const uint32_t edges[] = {0, 1, 2, 10, 252, 253, 254, 255, 256, 0x3FFFFFFF, 0x40000000, 0x7FFFFFFF, 0xFFFFFFFF};
  return fuzz_below(2) ? edges[fuzz_below(sizeof edges / sizeof edges[0])] : fuzz_u32();
}

static uint64_t hostile_address(void) {
  uint64_t near = (uintptr_t)(fuzz_below(2) ? memory_a : memory_b);
  switch (fuzz_below(8)) {
    case 0:
      return UINT64_MAX - fuzz_below(4);
    case 1:
      return fuzz_below(16);
    case 2:
      return (uint64_t)fuzz_u32() << 32 | fuzz_u32();
    case 3:
      return near + MEMORY_BYTES - 2 + fuzz_below(4);
    default:
      return near - 2 + fuzz_below(MEMORY_BYTES + 4);
  }
}

static void hostile_trainer(void) {
  int all = fuzz_below(3) == 0;
  no_info = all && fuzz_below(6) == 0;
  no_input = all && fuzz_below(4) == 0;
  no_logits = all && fuzz_below(4) == 0;
  no_span = all && fuzz_below(4) == 0;
  spans = all ? hostile_u32() : 2;
  span_name = all ? hostile_string() : "w";
  info.abi_version = all && fuzz_below(6) == 0 ? hostile_u32() : TRAINER_ABI_VERSION;
  info.classes = all ? hostile_u32() : 10;
  info.network = all ? hostile_string() : "n";
  info.scheme = all ? hostile_string() : "s";
  info.plan_digest = all ? hostile_string() : "";
}

static int inside(uint64_t address, uint32_t length) {
  for (uint32_t i = 0; i < MEMORIES; i++) {
    board_range_t range = board_memory(i);
    if (address >= range.start && address - range.start <= MEMORY_BYTES &&
        length <= MEMORY_BYTES - (address - range.start)) {
      return 1;
    }
  }
  return 0;
}

static void put(uint8_t *at, uint64_t value, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> (8 * i));
}

/* The body of a request; returns its length. Mostly as long as the command wants it. */
static uint32_t hostile_body(uint8_t *body, uint8_t command, uint64_t *address, uint32_t *length) {
  static const uint32_t wanted[COMMANDS] = {0, 8, 0, 4, 4, 0, 4, 4, 12, 8, 0, 0};
  uint32_t bytes = fuzz_below(8) == 0 || command >= COMMANDS ? fuzz_length() : wanted[command];
  fuzz_bytes(body, AGENT_MAX_BODY);
  *address = hostile_address();
  if (command == COMMAND_READ) {
    *length = fuzz_below(2) ? fuzz_below(MEMORY_BYTES + 4) : hostile_u32();
    put(body, *address, 8);
    put(body + 8, *length, 4);
  } else if (command == COMMAND_WRITE) {
    if (fuzz_below(8)) bytes = 8 + (fuzz_below(4) ? fuzz_below(64) : fuzz_below(AGENT_MAX_BODY - 7));
    *length = bytes < 8 ? 0 : bytes - 8;
    put(body, *address, 8);
  } else if (bytes == 4) {
    if (command == COMMAND_TRAIN && fuzz_below(2)) bytes = 8; /* with a learning rate */
    put(body, hostile_u32(), 4);
  }
  return bytes;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const uint32_t trials = (uint32_t)strtoul(argv[1], NULL, 10);
  fuzz_state = strtoull(argv[2], NULL, 10) | 1u;
  memset(long_name, 'x', sizeof long_name - 1);
  static uint8_t plain[PLAIN_MAX], wire[WIRE_MAX], reply[WIRE_MAX];
  uint64_t asked[COMMANDS + 1] = {0}, answered[COMMANDS + 1] = {0}, refused[COMMANDS + 1] = {0};
  int session = 0;
  for (uint32_t trial = 0; trial < trials; trial++) {
    hostile_trainer();
    uint8_t command = (uint8_t)(fuzz_below(8) ? 1 + fuzz_below(9) : fuzz_u32());
    uint32_t row = command < COMMANDS ? command : COMMANDS, length = 0;
    uint64_t address = 0;
    plain[0] = fuzz_below(64) ? (uint8_t)AGENT_PROTOCOL_VERSION : (uint8_t)fuzz_u32();
    plain[1] = command;
    plain[2] = (uint8_t)trial;
    plain[3] = (uint8_t)(trial >> 8);
    uint32_t bytes = hostile_body(plain + HEADER, command, &address, &length);
    uint32_t wired = fuzz_encode(wire, plain, HEADER + bytes);
    uint32_t repeats = fuzz_below(4) ? 1 : 2; /* resent: answered again, executed once */
    executed = rates = 0;
    for (uint32_t i = 0; i < repeats * wired; i++) agent_receive(wire[i % wired]);
    if (executed > 1 || rates > 1) return broken("a resent request was executed again", trial);
    int taken = 0;
    uint32_t at = 0, replies = 0, found;
    while ((found = fuzz_reply(&at, reply)) > 0) {
      replies++;
      uint32_t content = found - CRC, body = content - HEADER;
      uint32_t crc = agent_crc32(0, reply, content);
      for (uint32_t i = 0; i < CRC; i++) {
        if (reply[content + i] != (uint8_t)(crc >> (8 * i))) return broken("a reply has a wrong CRC", trial);
      }
      if (body > AGENT_MAX_BODY) return broken("a reply is too long", trial);
      if (reply[2] != plain[2] || reply[3] != plain[3]) return broken("a reply has another sequence", trial);
      if (reply[1] == REPLY_ERROR) {
        if (body != 8 || reply[HEADER] < 1 || reply[HEADER] > ERROR_TRAINER_BROKEN) return broken("an unknown error", trial);
      } else if (reply[1] != (command | REPLY_BIT)) {
        return broken("a reply of another kind", trial);
      } else {
        taken = 1;
      }
    }
    fuzz_sent_bytes = 0;
    if (replies != repeats) return broken("not one reply for each frame", trial);
    session |= taken && command == COMMAND_HELLO;
    if (taken && !session) return broken("a command was executed without a session", trial);
    if (taken && (command == COMMAND_READ || command == COMMAND_WRITE) && !inside(address, length)) {
      return broken("memory outside the declared ranges was touched", trial);
    }
    asked[row]++;
    if (taken) {
      answered[row]++;
    } else {
      refused[row]++;
    }
  }
  static const char *const names[COMMANDS + 1] = {"0", "HELLO", "INFO", "RESET", "SET_LEARNING_RATE", "PREDICT", "TRAIN",
                                                  "STATE_SPAN", "READ", "WRITE", "10", "11", "unknown"};
  for (uint32_t i = 0; i <= COMMANDS; i++) {
    printf("%s %llu %llu %llu\n", names[i], (unsigned long long)asked[i], (unsigned long long)answered[i],
           (unsigned long long)refused[i]);
  }
  return 0;
}

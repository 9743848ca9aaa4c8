/* Feeds damaged streams to the agent's receiver, compiled for this computer, and counts what it takes for intact.
 *
 * Arguments: trials, seed. One line for each mutation: name, damaged streams, frames accepted that were sent so,
 * frames accepted that were not, complaints. Exit code 1: an intact frame after a damaged stream was not answered. */
#include "agent.h"
#include "commands.h"
#include "fuzz_common.h"

enum { FLIP, BURST, DROP, DUPLICATE, INSERT, TRUNCATE, ZERO, SWAP, SPLICE, MERGE, MUTATIONS };
static const char *const names[MUTATIONS] = {"flip", "burst", "drop", "duplicate", "insert",
                                             "truncate", "zero", "swap", "splice", "merge"};

typedef struct {
  uint8_t plain[PLAIN_MAX];
  uint32_t content;
  uint8_t wire[WIRE_MAX];
  uint32_t bytes;
} sent_t;

static sent_t sent[2];
static uint64_t equal, different;

/* In place of the real commands: every frame that gets here was taken for intact. */
uint8_t agent_execute(agent_body_t *reply, uint8_t command, const uint8_t *body, uint32_t length) {
  (void)reply;
  (void)command;
  const uint8_t *frame = body - HEADER;
  for (uint32_t i = 0; i < 2; i++) {
    if (length + HEADER == sent[i].content && memcmp(frame, sent[i].plain, sent[i].content) == 0) {
      equal++;
      return REPLY_BIT;
    }
  }
  different++;
  return REPLY_BIT;
}

uint8_t agent_error(agent_body_t *reply, uint32_t code, uint32_t detail) {
  (void)code;
  (void)detail;
  reply->bytes = 0;
  different++; /* a version that nobody sent */
  return REPLY_ERROR;
}

static void make(sent_t *frame, uint32_t trial, uint32_t which) {
  uint32_t length = fuzz_length();
  frame->plain[0] = AGENT_PROTOCOL_VERSION;
  frame->plain[1] = (uint8_t)(1 + fuzz_below(9));
  uint32_t sequence = 2 * trial + which; /* none is a resent one */
  frame->plain[2] = (uint8_t)sequence;
  frame->plain[3] = (uint8_t)(sequence >> 8);
  fuzz_bytes(frame->plain + HEADER, length);
  frame->content = HEADER + length;
  frame->bytes = fuzz_encode(frame->wire, frame->plain, frame->content);
}

static uint32_t remove_bytes(uint8_t *stream, uint32_t bytes, uint32_t at, uint32_t count) {
  memmove(stream + at, stream + at + count, bytes - at - count);
  return bytes - count;
}

static uint32_t open_gap(uint8_t *stream, uint32_t bytes, uint32_t at, uint32_t count) {
  memmove(stream + at + count, stream + at, bytes - at);
  return bytes + count;
}

/* Damages the stream of both frames, or of the first alone; returns its new length. */
static uint32_t mutate(uint8_t *stream, uint32_t mutation) {
  const uint32_t first = sent[0].bytes, second = sent[1].bytes;
  uint32_t bytes = first;
  memcpy(stream, sent[0].wire, first);
  uint32_t at = 1 + fuzz_below(first - 2), most = first - 1 - at; /* not the delimiters */
  uint32_t count = 1 + fuzz_below(8);
  if (count > most) count = most > 0 ? most : 1;
  switch (mutation) {
    case FLIP:
      for (uint32_t i = 0; i < count; i++) stream[1 + fuzz_below(first - 2)] ^= (uint8_t)(1u << fuzz_below(8));
      break;
    case BURST:
      for (uint32_t i = 0; i < count; i++) stream[at + i] = (uint8_t)fuzz_u32();
      break;
    case DROP:
      bytes = remove_bytes(stream, bytes, at, count);
      break;
    case DUPLICATE:
      bytes = open_gap(stream, bytes, at, count);
      memcpy(stream + at, sent[0].wire + at, count);
      break;
    case INSERT:
      bytes = open_gap(stream, bytes, at, count);
      for (uint32_t i = 0; i < count; i++) stream[at + i] = (uint8_t)fuzz_u32();
      break;
    case TRUNCATE:
      bytes = at;
      break;
    case ZERO:
      stream[at] = 0;
      break;
    case SWAP: {
      uint32_t other = 1 + fuzz_below(first - 2);
      uint8_t kept = stream[at];
      stream[at] = stream[other];
      stream[other] = kept;
      break;
    }
    case SPLICE: { /* the head of one and the tail of the other */
      uint32_t from = 1 + fuzz_below(second - 2);
      memcpy(stream + at, sent[1].wire + from, second - from);
      bytes = at + second - from;
      break;
    }
    default: /* MERGE: no delimiter between them */
      memcpy(stream + first - 1, sent[1].wire + 1, second - 1);
      bytes = first + second - 2;
      break;
  }
  return bytes;
}

static void feed(const uint8_t *stream, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i++) agent_receive(stream[i]);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const uint32_t trials = (uint32_t)strtoul(argv[1], NULL, 10);
  fuzz_state = strtoull(argv[2], NULL, 10) | 1u;
  static uint8_t stream[2 * WIRE_MAX + 16], plain[WIRE_MAX];
  uint64_t damaged[MUTATIONS] = {0}, right[MUTATIONS] = {0}, wrong[MUTATIONS] = {0}, complaints[MUTATIONS] = {0};
  for (uint32_t trial = 0; trial < trials;) {
    make(&sent[0], trial, 0);
    make(&sent[1], trial, 1);
    uint32_t mutation = trial % MUTATIONS, bytes = mutate(stream, mutation);
    if (bytes == sent[0].bytes && memcmp(stream, sent[0].wire, bytes) == 0) continue; /* nothing was damaged */
    equal = different = 0;
    feed(stream, bytes);
    agent_receive(0); /* what was cut off ends here and not in the next trial */
    uint64_t answers = equal + different;
    for (uint32_t at = 0, length; (length = fuzz_reply(&at, plain)) > 0;) {
      if (plain[1] != REPLY_ERROR) {
        if (answers-- == 0) return 1; /* an answer to what was not executed */
        continue;
      }
      if (plain[HEADER] == ERROR_DAMAGED_FRAME) complaints[mutation]++;
    }
    damaged[mutation]++;
    right[mutation] += equal;
    wrong[mutation] += different;
    trial++;
    make(&sent[0], trial + 40000, 0); /* far from the trials around it */
    equal = different = 0;
    feed(sent[0].wire, sent[0].bytes);
    fuzz_sent_bytes = 0;
    if (equal != 1 || different != 0) {
      fprintf(stderr, "after trial %u an intact frame was not answered\n", trial - 1);
      return 1;
    }
  }
  for (uint32_t i = 0; i < MUTATIONS; i++) {
    printf("%s %llu %llu %llu %llu\n", names[i], (unsigned long long)damaged[i], (unsigned long long)right[i],
           (unsigned long long)wrong[i], (unsigned long long)complaints[i]);
  }
  return 0;
}

#ifdef FUZZ_BLIND
/* A receiver that checks nothing: the counts have to show it. */
uint32_t agent_crc32(uint32_t crc, const uint8_t *data, uint32_t length) {
  (void)data;
  (void)length;
  return crc;
}
#endif

/* Clock counts of each operator in one training step, in a firmware built with TRAINER_PROFILE. The harness reads the array
 * through the probe after the step. Not part of a measured build. */
#include "board.h"

#ifdef TRAINER_PROFILE

#define AGENT_PROFILE_CAPACITY 1024u

extern uint64_t agent_profile_counts[AGENT_PROFILE_CAPACITY];
uint64_t agent_profile_counts[AGENT_PROFILE_CAPACITY];

static uint64_t running_since;
static uint32_t running;

void trainer_profile_start(void);
void trainer_profile_mark(uint32_t operator_index);

void trainer_profile_start(void) {
  for (uint32_t i = 0; i < AGENT_PROFILE_CAPACITY; i++) agent_profile_counts[i] = 0;
  running = AGENT_PROFILE_CAPACITY;
  running_since = board_ticks();
}

/* What ran since the last mark is added to the operator of that mark: one that runs by strips of rows is marked often. */
void trainer_profile_mark(uint32_t operator_index) {
  const uint64_t now = board_ticks();
  if (running < AGENT_PROFILE_CAPACITY) agent_profile_counts[running] += now - running_since;
  running = operator_index;
  running_since = now;
}

#else

typedef int agent_profile_unused; /* a translation unit may not be empty */

#endif

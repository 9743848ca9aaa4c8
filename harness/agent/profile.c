/* The clock at the start of each operator, in a firmware built with TRAINER_PROFILE. The harness reads the array through
 * the probe after a training step. Not part of a measured build. */
#include "board.h"

#ifdef TRAINER_PROFILE

#define AGENT_PROFILE_CAPACITY 1024u

extern uint64_t agent_profile_counts[AGENT_PROFILE_CAPACITY];
uint64_t agent_profile_counts[AGENT_PROFILE_CAPACITY];

void trainer_profile_mark(uint32_t operator_index);

void trainer_profile_mark(uint32_t operator_index) {
  if (operator_index < AGENT_PROFILE_CAPACITY) agent_profile_counts[operator_index] = board_ticks();
}

#else

typedef int agent_profile_unused; /* a translation unit may not be empty */

#endif

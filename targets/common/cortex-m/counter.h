/* counter.h: the cycle counter behind board_ticks(), from 0 at each start. */
#ifndef COUNTER_H
#define COUNTER_H

void counter_start(void);
void counter_stop(void);

#endif

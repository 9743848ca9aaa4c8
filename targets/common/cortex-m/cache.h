/* cache.h: the first-level caches of a Cortex-M7. */
#ifndef CACHE_H
#define CACHE_H

/* Both on, empty. */
void cache_enable(void);

/* Write what only the data cache holds to memory, and empty it. */
void cache_clean_and_invalidate(void);

#endif

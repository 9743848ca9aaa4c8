/* dividers.h: prescaler fields, as their binary logarithms. They mean the same in all families. */
#ifndef STM32_DIVIDERS_H
#define STM32_DIVIDERS_H

#include <stdint.h>

/* HPRE, D1CPRE: 0xxx is 1; 1000 is 2, 4, 8, 16, then 64 to 512. */
static inline uint32_t ahb_shift(uint32_t field) { return field < 8u ? 0u : field < 12u ? field - 7u : field - 6u; }

/* PPRE1, PPRE2: 0xx is 1; 100 is 2, 4, 8, 16. */
static inline uint32_t apb_shift(uint32_t field) { return field < 4u ? 0u : field - 3u; }

#endif

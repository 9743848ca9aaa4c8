/* field.h: bit fields of registers. A field is a macro of three values: address, lowest bit, bits. The headers of the
 * families (stm32f7.h, …) hold nothing but addresses, fields and interrupt numbers, so that a test can look each of
 * them up in the vendor's description. */
#ifndef STM32_FIELD_H
#define STM32_FIELD_H

#include <stdint.h>

static inline uint32_t register_read(uint32_t address) { return *(volatile uint32_t *)address; }

static inline void register_write(uint32_t address, uint32_t value) { *(volatile uint32_t *)address = value; }

#include "field_access.h"

#endif

/* field_access.h: fields, over register_read and register_write of whoever includes this. */
#ifndef STM32_FIELD_ACCESS_H
#define STM32_FIELD_ACCESS_H

#include <stdint.h>

/* The field in a value that was read from its register. */
static inline uint32_t field_of(uint32_t value, uint32_t address, uint32_t bit, uint32_t bits) {
  (void)address;
  return value >> bit & ((1u << bits) - 1u);
}

static inline uint32_t field_read(uint32_t address, uint32_t bit, uint32_t bits) {
  return field_of(register_read(address), address, bit, bits);
}

static inline void field_write(uint32_t address, uint32_t bit, uint32_t bits, uint32_t value) {
  uint32_t mask = ((1u << bits) - 1u) << bit;
  register_write(address, (register_read(address) & ~mask) | value << bit);
}

/* Wait until the field has the value, for some seconds at the slowest clock; then clock_did_not_start(). */
void field_wait(uint32_t address, uint32_t bit, uint32_t bits, uint32_t value);

#endif

/* gpio.h: pins of an STM32 (all families here have the same port). */
#ifndef STM32_GPIO_H
#define STM32_GPIO_H

#include "field.h"

#define GPIO_MODER_OFFSET 0x00u
#define GPIO_AFRL_OFFSET 0x20u
#define GPIO_MODE_ALTERNATE 2u

/* Give `pin` of the port at `port` to a peripheral. The port's clock is on. */
static inline void gpio_alternate(uint32_t port, uint32_t pin, uint32_t function) {
  field_write(port + GPIO_AFRL_OFFSET + pin / 8u * 4u, pin % 8u * 4u, 4u, function);
  field_write(port + GPIO_MODER_OFFSET, 2u * pin, 2u, GPIO_MODE_ALTERNATE);
}

#endif

#include "part.h"

#include "field.h"

void part_enable_link(void) {
  field_write(PWR_CR2_IOSV, 1u); /* PG2 to PG15 have a supply of their own, VDDIO2 (RM0432) */
  field_write(RCC_AHB2ENR_GPIOGEN, 1u);
  field_wait(RCC_AHB2ENR_GPIOGEN, 1u);
  field_write(RCC_APB1ENR2_LPUART1EN, 1u);
  field_wait(RCC_APB1ENR2_LPUART1EN, 1u);
}

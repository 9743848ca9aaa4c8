#include "part.h"

#include "field.h"

void part_enable_link(void) {
  field_write(RCC_AHB1ENR_GPIOAEN, 1u);
  field_wait(RCC_AHB1ENR_GPIOAEN, 1u);
  field_write(RCC_AHB1ENR_GPIOBEN, 1u);
  field_wait(RCC_AHB1ENR_GPIOBEN, 1u);
  field_write(RCC_APB2ENR_USART1EN, 1u);
  field_wait(RCC_APB2ENR_USART1EN, 1u);
}

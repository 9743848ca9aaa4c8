#include "part.h"

#include "field.h"

void part_enable_link(void) {
  field_write(RCC_AHB1ENR_GPIOAEN, 1u);
  field_wait(RCC_AHB1ENR_GPIOAEN, 1u);
  field_write(RCC_APB1ENR_USART2EN, 1u);
  field_wait(RCC_APB1ENR_USART2EN, 1u);
}

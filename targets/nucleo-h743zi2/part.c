#include "part.h"

#include "field.h"

void part_enable_link(void) {
  field_write(RCC_AHB4ENR_GPIODEN, 1u);
  field_wait(RCC_AHB4ENR_GPIODEN, 1u);
  field_write(RCC_APB1LENR_USART3EN, 1u);
  field_wait(RCC_APB1LENR_USART3EN, 1u);
}

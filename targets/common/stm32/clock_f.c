/* Clocks of the STM32F4 and F7: the PLL from the external clock, with overdrive.
 * RM0385 (F7) and RM0390 (F446), "Entering Over-drive mode" and the chapter on RCC: the same steps. */
#include "clock.h"

#include "dividers.h"
#include "field.h"
#include "part.h"

#define HSI_HZ 16000000u
#define SWITCH_PLL 2u
#define PLL_FROM_HSE 1u
#define SCALE_1 3u

#ifdef PWR_CR1 /* F7; its USART has a clock selector */
#define VOS PWR_CR1_VOS
#define VOSRDY PWR_CSR1_VOSRDY
#define ODEN PWR_CR1_ODEN
#define ODRDY PWR_CSR1_ODRDY
#define ODSWEN PWR_CR1_ODSWEN
#define ODSWRDY PWR_CSR1_ODSWRDY
const uint32_t clock_registers[] = {RCC_PLLCFGR, RCC_CFGR, FLASH_ACR, RCC_DCKCFGR2, 0};
#else
#define VOS PWR_CR_VOS
#define VOSRDY PWR_CSR_VOSRDY
#define ODEN PWR_CR_ODEN
#define ODRDY PWR_CSR_ODRDY
#define ODSWEN PWR_CR_ODSWEN
#define ODSWRDY PWR_CSR_ODSWRDY
const uint32_t clock_registers[] = {RCC_PLLCFGR, RCC_CFGR, FLASH_ACR, 0};
#endif

void clock_start(void) {
  field_write(RCC_APB1ENR_PWREN, 1u);
  field_wait(RCC_APB1ENR_PWREN, 1u);
  field_write(VOS, SCALE_1);
  field_write(RCC_CR_HSEBYP, HSE_IS_CLOCK);
  field_write(RCC_CR_HSEON, 1u);
  field_wait(RCC_CR_HSERDY, 1u);

  field_write(RCC_CR_PLLON, 0u);
  field_wait(RCC_CR_PLLRDY, 0u);
  field_write(RCC_PLLCFGR_PLLSRC, PLL_FROM_HSE);
  field_write(RCC_PLLCFGR_PLLM, PLL_M);
  field_write(RCC_PLLCFGR_PLLN, PLL_N);
  field_write(RCC_PLLCFGR_PLLP, 0u); /* divided by 2 */
  field_write(RCC_PLLCFGR_PLLQ, 9u); /* nobody uses it: at most 48 MHz */
  field_write(RCC_CR_PLLON, 1u);
  field_wait(RCC_CR_PLLRDY, 1u);
  field_wait(VOSRDY, 1u); /* never before the PLL runs */

  field_write(ODEN, 1u);
  field_wait(ODRDY, 1u);
  field_write(ODSWEN, 1u);
  field_wait(ODSWRDY, 1u);

  field_write(FLASH_ACR_LATENCY, FLASH_WAIT_STATES);
  field_wait(FLASH_ACR_LATENCY, FLASH_WAIT_STATES);
  field_write(FLASH_ACR_PRFTEN, 1u);
#ifdef FLASH_ACR_ICEN
  field_write(FLASH_ACR_ICEN, 1u);
  field_write(FLASH_ACR_DCEN, 1u);
#else
  field_write(FLASH_ACR_ARTEN, 1u);
#endif
  field_write(RCC_CFGR_PPRE1, 5u); /* divided by 4 */
  field_write(RCC_CFGR_PPRE2, 4u); /* by 2 */
  field_write(RCC_CFGR_SW, SWITCH_PLL);
  field_wait(RCC_CFGR_SWS, SWITCH_PLL);
}

static uint64_t system_hz(uint32_t pllcfgr, uint32_t cfgr, uint32_t hse_hz) {
  switch (field_of(cfgr, RCC_CFGR_SWS)) {
    case 0: return HSI_HZ;
    case 1: return hse_hz;
    case SWITCH_PLL: break;
    default: return 0;
  }
  uint64_t source = field_of(pllcfgr, RCC_PLLCFGR_PLLSRC) == PLL_FROM_HSE ? hse_hz : HSI_HZ;
  uint32_t divisor = field_of(pllcfgr, RCC_PLLCFGR_PLLM) * 2u * (field_of(pllcfgr, RCC_PLLCFGR_PLLP) + 1u);
  return divisor == 0 ? 0 : source * field_of(pllcfgr, RCC_PLLCFGR_PLLN) / divisor;
}

clock_rates_t clock_rates(const uint32_t *values, uint32_t hse_hz) {
  uint32_t cfgr = values[1];
  uint32_t core = (uint32_t)(system_hz(values[0], cfgr, hse_hz) >> ahb_shift(field_of(cfgr, RCC_CFGR_HPRE)));
#ifdef PWR_CR1
  uint32_t usart = core >> apb_shift(field_of(cfgr, RCC_CFGR_PPRE2)); /* USART1 */
  if (field_of(values[3], RCC_DCKCFGR2_USART1SEL) != 0) usart = 0;
#else
  uint32_t usart = core >> apb_shift(field_of(cfgr, RCC_CFGR_PPRE1)); /* USART2 */
#endif
  return (clock_rates_t){core, usart};
}

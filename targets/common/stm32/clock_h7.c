/* Clocks of the STM32H743: PLL1 from the external clock. Revisions from X on run at 480 MHz in VOS0, earlier ones at
 * 400 MHz in VOS1. RM0433, chapters on PWR (supply configuration, VOS0), RCC and FLASH (wait states); ES0392. */
#include "clock.h"

#include "dividers.h"
#include "field.h"
#include "part.h"

#define HSI_HZ 64000000u
#define CSI_HZ 4000000u
#define SWITCH_PLL1 3u
#define PLL_FROM_HSE 2u
#define SCALE_1 3u
#define FIRST_480_MHZ_REVISION 0x2000u
#define BY_2_AHB 8u
#define BY_2_APB 4u
#define RANGE_2_TO_4_MHZ 1u
#define FRACTIONS 8192u

const uint32_t clock_registers[] = {RCC_CR,        RCC_PLLCKSELR, RCC_PLLCFGR, RCC_PLL1DIVR, RCC_PLL1FRACR, RCC_CFGR,
                                    RCC_D1CFGR, RCC_D2CFGR,    FLASH_ACR,   RCC_D2CCIP2R, 0};

static void supply_start(uint32_t is_480_mhz) {
  /* The regulator's set-up can be written once after power-on; until it was, VOS cannot be raised. */
  uint32_t cr3 = register_read(PWR_CR3);
  if (field_of(cr3, PWR_CR3_SCUEN)) register_write(PWR_CR3, (cr3 & ~1u) | 2u | 4u);
  field_wait(PWR_CSR1_ACTVOSRDY, 1u);
  field_write(PWR_D3CR_VOS, SCALE_1);
  field_wait(PWR_D3CR_VOSRDY, 1u);
  if (!is_480_mhz) return;
  field_write(RCC_APB4ENR_SYSCFGEN, 1u);
  field_wait(RCC_APB4ENR_SYSCFGEN, 1u);
  field_write(SYSCFG_PWRCR_ODEN, 1u);
  field_wait(PWR_D3CR_VOSRDY, 1u);
}

void clock_start(void) {
  uint32_t is_480_mhz = field_read(DBGMCU_IDC_REV_ID) >= FIRST_480_MHZ_REVISION;
  /* Revision Y can read wrong data from AXI SRAM unless its reads are issued one at a time (ES0392). */
  if (!is_480_mhz) field_write(AXI_TARG7_FN_MOD_READ_ISS_OVERRIDE, 1u);
  supply_start(is_480_mhz);
  field_write(RCC_CR_HSEBYP, HSE_IS_CLOCK);
  field_write(RCC_CR_HSEON, 1u);
  field_wait(RCC_CR_HSERDY, 1u);

  field_write(RCC_CR_PLL1ON, 0u);
  field_wait(RCC_CR_PLL1RDY, 0u);
  field_write(RCC_PLLCKSELR_PLLSRC, PLL_FROM_HSE);
  field_write(RCC_PLLCKSELR_DIVM1, HSE_HZ / 2000000u);
  field_write(RCC_PLLCFGR_PLL1FRACEN, 0u);
  field_write(RCC_PLLCFGR_PLL1VCOSEL, 0u); /* wide */
  field_write(RCC_PLLCFGR_PLL1RGE, RANGE_2_TO_4_MHZ);
  field_write(RCC_PLLCFGR_DIVP1EN, 1u);
  field_write(RCC_PLL1DIVR_DIVN1, (is_480_mhz ? 480u : 400u) - 1u);
  field_write(RCC_PLL1DIVR_DIVP1, 2u - 1u);
  field_write(RCC_CR_PLL1ON, 1u);
  field_wait(RCC_CR_PLL1RDY, 1u);

  uint32_t wait_states = is_480_mhz ? 4u : 2u;
  field_write(FLASH_ACR_WRHIGHFREQ, 2u);
  field_write(FLASH_ACR_LATENCY, wait_states);
  field_wait(FLASH_ACR_LATENCY, wait_states);

  field_write(RCC_D1CFGR_D1CPRE, 0u);
  field_write(RCC_D1CFGR_HPRE, BY_2_AHB);
  field_write(RCC_D1CFGR_D1PPRE, BY_2_APB);
  field_write(RCC_D2CFGR_D2PPRE1, BY_2_APB);
  field_write(RCC_D2CFGR_D2PPRE2, BY_2_APB);
  field_write(RCC_D3CFGR_D3PPRE, BY_2_APB);
  field_write(RCC_CFGR_SW, SWITCH_PLL1);
  field_wait(RCC_CFGR_SWS, SWITCH_PLL1);
}

static uint64_t pll_hz(const uint32_t *values, uint32_t hse_hz) {
  uint64_t source;
  switch (field_of(values[1], RCC_PLLCKSELR_PLLSRC)) {
    case 0: source = HSI_HZ >> field_of(values[0], RCC_CR_HSIDIV); break;
    case 1: source = CSI_HZ; break;
    case PLL_FROM_HSE: source = hse_hz; break;
    default: return 0;
  }
  uint32_t fraction = field_of(values[2], RCC_PLLCFGR_PLL1FRACEN) ? field_of(values[4], RCC_PLL1FRACR_FRACN1) : 0u;
  uint32_t times = (field_of(values[3], RCC_PLL1DIVR_DIVN1) + 1u) * FRACTIONS + fraction;
  uint64_t divisor = (uint64_t)field_of(values[1], RCC_PLLCKSELR_DIVM1) * FRACTIONS *
                     (field_of(values[3], RCC_PLL1DIVR_DIVP1) + 1u);
  return divisor == 0 ? 0 : source * times / divisor;
}

static uint64_t system_hz(const uint32_t *values, uint32_t hse_hz) {
  switch (field_of(values[5], RCC_CFGR_SWS)) {
    case 0: return HSI_HZ >> field_of(values[0], RCC_CR_HSIDIV);
    case 1: return CSI_HZ;
    case 2: return hse_hz;
    case SWITCH_PLL1: return pll_hz(values, hse_hz);
    default: return 0;
  }
}

clock_rates_t clock_rates(const uint32_t *values, uint32_t hse_hz) {
  uint32_t core = (uint32_t)(system_hz(values, hse_hz) >> ahb_shift(field_of(values[6], RCC_D1CFGR_D1CPRE)));
  uint32_t bus = core >> ahb_shift(field_of(values[6], RCC_D1CFGR_HPRE));
  uint32_t usart = bus >> apb_shift(field_of(values[7], RCC_D2CFGR_D2PPRE1)); /* USART3 */
  if (field_of(values[9], RCC_D2CCIP2R_USART234578SEL) != 0) usart = 0;
  return (clock_rates_t){core, usart};
}

#include "agent.h"
#include "board.h"

void agent_main(void) {
  board_init();
  for (;;) {
    int byte = board_uart_read();
    if (byte < 0) {
      board_wait();
    } else {
      agent_receive((uint8_t)byte);
    }
  }
}
